"""Postgres: pool, statements, failures, migrations, and time zone rules."""
