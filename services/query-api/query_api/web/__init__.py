"""The dashboard's own files."""
