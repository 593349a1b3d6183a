"""Calls that LiteLLM reports."""
