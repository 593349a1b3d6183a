"""Reads the usage of model providers' answers."""
