"""Reads requests and encodes answers."""
