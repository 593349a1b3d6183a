"""Catalog events: read, applied to their tables, and the rules of time zones that they bring."""
