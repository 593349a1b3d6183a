"""All statements by name, from one file for each topic in `sql/`."""

from runtime.postgres.statements import load_sql

SQL = load_sql("alerter")
