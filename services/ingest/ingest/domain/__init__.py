"""What ingest decides: keys, limits, and what becomes of each event. Pure."""
