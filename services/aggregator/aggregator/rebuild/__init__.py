"""Rollups counted again from the log, and days of another time zone. Used by the command line."""
