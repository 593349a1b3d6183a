"""Loading statements from .sql files, and building rows by column name."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from runtime.postgres.statements import from_record, load_sql


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package with the name `stated`."""
    (folder := tmp_path / "stated").mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    sys.modules.pop("stated", None)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_file_holds_statements_by_name_in_any_folder(package: Path) -> None:
    write(
        package / "sql" / "ledger.sql",
        "-- Locks.\n\n-- name: one\n-- First.\nSELECT 1\n\n-- name: two\n-- Second.\nSELECT 2",
    )
    write(package / "usage" / "sql" / "rollups.sql", "-- name: three\n-- Third.\nSELECT 3\n")
    write(package / "sql" / "README.md", "-- name: none\n")
    assert load_sql("stated") == {
        "one": "-- First.\nSELECT 1\n",
        "two": "-- Second.\nSELECT 2\n",
        "three": "-- Third.\nSELECT 3\n",
    }


def test_a_name_that_stands_twice_names_both_places(package: Path) -> None:
    write(package / "sql" / "ledger.sql", "-- name: one\n-- First.\nSELECT 1\n")
    write(package / "usage" / "sql" / "one.sql", "-- name: one\n-- First.\nSELECT 1\n")
    with pytest.raises(ValueError, match=r"one stands in stated/sql/ledger\.sql and in stated/usage/sql/one\.sql"):
        load_sql("stated")


@pytest.mark.parametrize(
    "text", ["SELECT 1", "-- name:\nSELECT 1", "-- name: two words\nSELECT 1", "-- name: one\n\n-- name: two\nSELECT 2"]
)
def test_a_block_without_name_or_statement_is_refused(package: Path, text: str) -> None:
    write(package / "sql" / "ledger.sql", text)
    with pytest.raises(ValueError, match=r"stated/sql/ledger\.sql names no statement"):
        load_sql("stated")


class Level(NamedTuple):
    product: str
    credits: int
    percent: int = 0


def test_a_row_is_built_by_name_in_any_order() -> None:
    assert from_record(Level, {"credits": 5, "percent": 1, "product": "api"}) == Level("api", 5, 1)


@pytest.mark.parametrize(
    "row", [{"product": "api", "credits": 5}, {"product": "api", "credits": 5, "limit": 1}, {"product": "api", "credits": 5, "percent": 1, "limit": 1}]
)  # fmt: skip
def test_a_row_with_other_columns_than_the_fields_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        from_record(Level, row)
