"""Who asks: bearer tokens, and sessions of browsers."""
