"""Every statement by its name. They stand beside the functions that send them, in the folder of their topic."""

from runtime.postgres.statements import load_sql

SQL = load_sql("query_api")
