"""Every statement by its name, from files by theme in `sql/`."""

from runtime.postgres.statements import load_sql

SQL = load_sql("alerter")
