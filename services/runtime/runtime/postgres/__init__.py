"""Postgres: pool, statements, failures, migrations, and its rules of time zones."""
