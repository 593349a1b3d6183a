"""Counts the usage topic, batch by batch."""
