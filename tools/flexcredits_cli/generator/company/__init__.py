"""A generated company: its agents, contracts, features, rates and usage patterns. Pure."""
