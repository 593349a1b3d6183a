"""Output of commands: messages, tables, JSON."""
