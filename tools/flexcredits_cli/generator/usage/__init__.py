"""Usage events of a generated company: history, live, with disturbances. Pure."""
