"""The FOCUS file."""
