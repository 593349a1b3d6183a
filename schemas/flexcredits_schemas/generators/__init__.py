"""Generators of committed files: event types from JSON Schemas, time zones from tzdata."""
