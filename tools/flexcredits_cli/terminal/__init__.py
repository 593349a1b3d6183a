"""What the person at the terminal reads: messages, tables, JSON."""
