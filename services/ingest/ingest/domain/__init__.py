"""The decisions of ingest: keys, limits, and the result of each event. Pure."""
