"""Reads catalog events, applies them to their tables, and records the time zone rules that days are counted by."""
