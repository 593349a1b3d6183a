"""The statements of sql/, by name."""

from runtime.postgres import load_sql

SQL = load_sql("aggregator")
