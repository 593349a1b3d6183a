"""Limits of what one organization may add, so that it slows down no other."""
