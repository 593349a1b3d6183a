"""A generated company: agents, contracts, features, rates, and how much it uses. Pure."""
