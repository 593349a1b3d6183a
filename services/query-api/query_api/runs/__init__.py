"""Runs: conversations, workflow runs and traces, with their uses."""
