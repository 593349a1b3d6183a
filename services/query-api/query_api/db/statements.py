"""All SQL statements by name. Each topic's folder has its own queries.sql, beside the functions that run it."""

from runtime.postgres.statements import load_sql

SQL = load_sql("query_api")
