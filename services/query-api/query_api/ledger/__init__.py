"""Single events."""
