"""Recounts rollups from the log, and moves days to another time zone. Used by the command line."""
