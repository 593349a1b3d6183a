"""Authentication: bearer tokens and browser sessions."""
