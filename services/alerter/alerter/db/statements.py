"""Every statement by its name, from files by theme in `sql/`."""

from runtime.postgres import load_sql

SQL = load_sql("alerter")
