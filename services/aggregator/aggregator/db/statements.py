"""Every statement by its name, of the files in sql/."""

from runtime.postgres.statements import load_sql

SQL = load_sql("aggregator")
