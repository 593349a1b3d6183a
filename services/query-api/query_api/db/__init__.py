"""Postgres sessions, each bound to one organization."""
