"""Where events wait until the service has answered: memory, or files."""
