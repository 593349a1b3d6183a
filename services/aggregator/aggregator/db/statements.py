"""The statements of the files in sql/, by name."""

from runtime.postgres.statements import load_sql

SQL = load_sql("aggregator")
