"""API keys of the organization, and the mappings of foreign events that are sent with them."""
