"""The file of usage by who used it."""
