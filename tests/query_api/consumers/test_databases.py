"""Postgres and SQLite read our files: the statements of docs/files.md exactly, and the simplest ones as its table says."""

import json
import re
import shutil
import sqlite3
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from query_api.exports.domain.kinds import Columns
from support.clients.consumers import APOSTROPHE, PAGE, amounts_of_files, code_for, column_of, jobs, measured, read_csv
from support.clients.foreign_clients import run
from support.data.awkward_usage import CSV, IDS
from support.infra.stack import Database

POSTGRES = {
    "day": "date",
    "instant": "timestamptz",
    "count": "bigint",
    "flag": "boolean",
    "json": "jsonb",
    "text": "text",
}


def sums_of(lines: list[list[str]], columns: Columns, names: Iterable[str]) -> dict[str, Decimal]:
    at = {name: list(columns).index(name) for name in names}
    return {name: sum((Decimal(line[at[name]] or 0) for line in lines), Decimal()) for name in at}


def table_of(columns: Columns) -> str:
    """As the page says for other files."""
    types = [f'"{name}" {POSTGRES.get(kind, "numeric")}' for name, kind in columns.items()]
    return f"CREATE TABLE lines ({', '.join(types)})"


async def load(connection: asyncpg.Connection, create: str, file: Path) -> None:
    await connection.execute(f"DROP TABLE IF EXISTS lines; {create}")
    await connection.copy_to_table("lines", source=file, format="csv", header=True)


async def test_postgres_reads_every_file_exactly(files: Path, database: Database) -> None:
    create, copy, question = re.fullmatch(r"(.*?;)\n(\\copy .*?)\n(.*?);\n", code_for("Postgres"), re.DOTALL).groups()  # type: ignore[union-attr]
    assert copy == r"\copy lines FROM 'usage.csv' WITH (FORMAT csv, HEADER)"
    connection = await asyncpg.connect(database.dsn)
    found: dict[str, dict[str, str]] = {}
    for file, (_, columns) in CSV.items():
        await load(connection, create if file == "usage.csv" else table_of(columns), files / file)
        lines, names = read_csv(files / file), [name for of, name in amounts_of_files() if of == file]
        for name, total in sums_of(lines, columns, names).items():
            assert (await connection.fetchval(question.replace('"credits"', f'"{name}"')) or 0) == total, (file, name)
        texts = [name for name, kind in columns.items() if kind == "text"]
        cells = ", ".join(f"coalesce(\"{name}\", '')" for name in texts)
        read = [list(row) for row in await connection.fetch(f"SELECT {cells} FROM lines")]
        at = [list(columns).index(name) for name in texts]
        if file == "usage.csv":
            exact = "SELECT DISTINCT regexp_replace(feature, $1, '\\1') FROM lines"
            assert {row[0] for row in await connection.fetch(exact, APOSTROPHE)} == {*IDS, "a", "b"}
        assert sorted(read) == sorted([line[each] for each in at] for line in lines), file
    for file, column in jobs()["naive"]:
        columns = CSV[file if file in CSV else "usage.csv"][1]
        await load(connection, table_of(columns).replace("numeric", "double precision"), files / file)
        kind = await connection.fetchval(f'SELECT pg_typeof("{column}")::text FROM lines')
        total = (
            await connection.fetchval(f"SELECT sum({column})::text FROM lines") if kind == "double precision" else ""
        )
        first = await connection.fetchval(f'SELECT "{column}"::text FROM lines LIMIT 1')
        found[f"{file} {column}"] = {"type": kind, "value": first, "sum": total}
    await connection.close()
    assert measured(found, files) == column_of("Postgres")


def test_sqlite_as_a_library_adds_up_micro_credits(files: Path) -> None:
    question = re.search(r"`(SELECT sum\(CAST.*?)`", PAGE)
    assert question
    for file in ("usage.csv", "people.csv", "large.csv"):
        columns = CSV[file if file in CSV else "usage.csv"][1]
        with sqlite3.connect(":memory:") as connection:
            connection.execute(f"CREATE TABLE lines ({' TEXT, '.join(columns)} TEXT)")
            lines = read_csv(files / file)
            connection.executemany(f"INSERT INTO lines VALUES ({', '.join('?' * len(columns))})", lines)
            (micro,) = connection.execute(question[1]).fetchone()
        connection.close()
        assert Decimal(micro).scaleb(-6) == sums_of(lines, columns, ["credits"])["credits"]


def sqlite(files: Path, *statements: str) -> list[list[object]]:
    """Rows of the last statement."""
    read = run("sqlite3", "-bail", ":memory:", ".mode json", *statements, folder=files)
    return [list(row.values()) for row in json.loads(read or "[]")]


def test_the_program_sqlite3_reads_every_file_exactly(files: Path) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("sqlite3 is not on this machine")
    load, question = code_for("SQLite").splitlines()
    for file, (_, columns) in CSV.items():
        lines, names = read_csv(files / file), [name for of, name in amounts_of_files() if of == file]
        read = sqlite(files, load.replace("usage.csv", file), "SELECT * FROM lines")
        assert read == lines, file
        for name, total in sums_of(lines, columns, names).items():
            ((found,),) = sqlite(files, load.replace("usage.csv", file), question.replace('"credits"', f'"{name}"'))
            assert Decimal(found or 0) == total, (file, name)  # type: ignore[arg-type]
    naive: dict[str, dict[str, str]] = {}
    for file, column in jobs()["naive"]:
        load_one = load.replace("usage.csv", file)
        ((kind, value, total),) = sqlite(
            files, load_one, f'SELECT typeof("{column}"), "{column}", sum("{column}") FROM lines LIMIT 1'
        )
        naive[f"{file} {column}"] = {"type": str(kind), "value": str(value), "sum": str(total)}
    assert measured(naive, files) == column_of("SQLite")
