"""Write committed files from their sources: event types from JSON Schemas, time zones from tzdata."""
