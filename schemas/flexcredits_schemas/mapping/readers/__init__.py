"""Reads one event of each protocol: its identity and time."""
