"""pandas, polars and DuckDB read our files: the lines of docs/files.md exactly, and the simplest call as its table says.
Needs --clients."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from query_api.exports.formats.files import CsvWriter
from query_api.exports.usage import USAGE_COLUMNS
from support.clients.consumers import LOCKED, amounts_of_files, code_for, column_of, jobs, measured, read_csv
from support.clients.foreign_clients import python_with, run
from support.data.awkward_usage import CSV, PARQUET

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]
PROGRAM = Path(__file__).parent / "programs" / "read_files.py"
PROGRAMS = {"pandas": "pandas", "polars": "polars", "DuckDB": "duckdb"}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with(tmp_path_factory.mktemp("libraries"), "--no-deps", *LOCKED)


def cell(value: Any) -> str:
    """As in our CSV files."""
    if isinstance(value, Decimal):
        whole, _, rest = f"{value:f}".partition(".")
        return f"{whole}.{rest[:6]}{rest[6:].rstrip('0')}"
    if isinstance(value, bool):
        return str(value).lower()
    return (
        "" if value is None else value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else str(value)
    )


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_library_reads_every_file_exactly_and_guesses_as_the_page_says(
    files: Path, python: Path, program: str
) -> None:
    planned = jobs()
    for file, column in amounts_of_files():
        kind = "usage.parquet" if file in PARQUET else "usage.csv"
        code = code_for(program, kind).replace(kind, file).replace('"credits"', f'"{column}"')
        planned["right"].append([file, column, code])
    (files / "jobs.json").write_text(json.dumps(planned))
    found = json.loads(run(python, "-W", "error", PROGRAM, PROGRAMS[program], folder=files, TZ="UTC"))
    for file, (_, columns) in (CSV | PARQUET).items():
        if file in PARQUET:
            lines = [[cell(value) for value in line.values()] for line in pq.read_table(files / file).to_pylist()]
        else:
            lines = read_csv(files / file)
        assert found["lines"][file] == lines, file
        for column in (name for of, name in amounts_of_files() if of == file):
            cells = [line[list(columns).index(column)] for line in lines]
            total = sum((Decimal(each) for each in cells if each), Decimal())
            assert Decimal(found["sums"][f"{file} {column}"] or 0) == total, (file, column)
    assert measured(found["naive"], files) == column_of(program)


def test_duckdb_reads_quotes_that_come_after_the_lines_that_it_samples(tmp_path: Path, python: Path) -> None:
    """The header has quotation marks (findings/duckdb-forgets-quotes-after-its-sample.sh)."""
    late, writer = 'say "hi", world', CsvWriter(USAGE_COLUMNS)
    cells = {
        "date": "2026-11-01",
        "credits": "2.000001",
        "events": 1,
        "organization_id": "org_acme",
        "time_zone": "UTC",
    }
    lines = [
        [(cells | {"feature": feature}).get(column) for column in USAGE_COLUMNS] for feature in [*["n"] * 21_000, late]
    ]
    data = writer.begin() + writer.add(lines) + writer.end()
    assert data.count(b'""') == 2, "only the last line has such a cell"
    (tmp_path / "usage.csv").write_bytes(data)
    question = "SELECT count(*), max(feature), sum(credits::DECIMAL(18, 6))::VARCHAR FROM 'usage.csv'"
    read = run(python, "-c", f"import duckdb; print(duckdb.sql({question!r}).fetchall())", folder=tmp_path)
    assert read.strip() == str([(21_001, late, "42002.021001")])
