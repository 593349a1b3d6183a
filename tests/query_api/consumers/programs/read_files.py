"""Reads files by a library. Prints what the simplest call makes of them, and what the page's code reads."""

import json
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl

library, jobs = sys.argv[1], json.loads(Path("jobs.json").read_text())


def cell(value):
    """As in our CSV files."""
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        whole, _, rest = f"{value:f}".partition(".")
        return f"{whole}.{rest[:6]}{rest[6:].rstrip('0')}"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


def rows_of(lines):
    if library == "pandas":
        return lines.itertuples(index=False)
    return lines.rows() if library == "polars" else lines.fetchall()


def run(code):
    """The lines and the sum of the page's code."""
    names = {"pd": pd, "pl": pl, "Decimal": Decimal}
    if library != "duckdb":
        exec(code, names)
        return names["lines"], names["total"]
    *before, last = [each.strip() for each in code.split(";") if each.strip()]
    for statement in before:
        duckdb.sql(statement)
    return duckdb.sql("FROM lines"), duckdb.sql(last).fetchall()[0][0]


def read_naively(file):
    """Types, the first line's values, and a function that adds up a column."""
    if library == "pandas":
        lines = pd.read_csv(file)
        return (
            lines.dtypes.astype(str).to_dict(),
            lines.iloc[0].to_dict() if len(lines) else {},
            lambda name: lines[name].sum(),
        )
    if library == "polars":
        lines = pl.read_csv(file)
        types = {name: str(kind) for name, kind in lines.schema.items()}
        return types, lines.row(0, named=True) if len(lines) else {}, lambda name: lines[name].sum()
    lines = duckdb.sql(f"FROM '{file}'")
    types = dict(zip(lines.columns, map(str, lines.types), strict=True))
    return (
        types,
        dict(zip(lines.columns, lines.limit(1).fetchall()[0], strict=True)),
        lambda name: lines.sum(name).fetchall()[0][0],
    )


found = {"naive": {}, "lines": {}, "sums": {}}
for file, column in jobs["naive"]:
    types, first, total = read_naively(file)
    value, kind = first[column], types[column]
    found["naive"][f"{file} {column}"] = {
        "type": kind,
        "value": str(value),
        "sum": str(total(column)) if kind.lower() in ("double", "float64") else "",
    }
for file, column, code in jobs["right"]:
    lines, total = run(code)
    if file not in found["lines"]:
        found["lines"][file] = [[cell(value) for value in row] for row in rows_of(lines)]
    found["sums"][f"{file} {column}"] = cell(total)
sys.stdout.write(json.dumps(found))
