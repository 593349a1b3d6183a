"""Loads statements from .sql files, and converts rows by the names of their columns."""

import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

RowT = TypeVar("RowT", bound=tuple[Any, ...])


def from_record(kind: Callable[..., RowT], record: Any) -> RowT:
    """Create a NamedTuple from an `asyncpg.Record` or another mapping, by name: the order of the columns does not
    matter.

    Raises TypeError unless columns and fields are the same, including fields with a default.
    """
    row = kind(**record)
    if len(row) != len(record):
        raise TypeError(f"{row} has more fields than the columns {(*record.keys(),)}")
    return row


def load_sql(package: str) -> dict[str, str]:
    """The statements of every .sql file in `package` and its folders, by name.

    A file holds blocks that begin with a line `-- name: statement_name`; text before the first block describes the
    file. Raises ValueError if a name occurs twice, is invalid or has no statement, and if a file has no block.
    """
    statements: dict[str, str] = {}
    places: dict[str, str] = {}
    for path, text in sorted(find_sql(files(package), package)):
        for name, statement in split_statements(path, text):
            if name in statements:
                raise ValueError(f"the statement {name} stands in {places[name]} and in {path}")
            statements[name], places[name] = statement, path
    return statements


def find_sql(folder: Traversable, path: str) -> Iterator[tuple[str, str]]:
    """Path and text of each .sql file, at any depth."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from find_sql(entry, f"{path}/{entry.name}")
        elif entry.name.endswith(".sql"):
            yield f"{path}/{entry.name}", entry.read_text(encoding="utf-8")


def split_statements(path: str, text: str) -> Iterator[tuple[str, str]]:
    """Name and text of each statement of a file. Raises ValueError as load_sql does."""
    _, *blocks = re.split(r"^-- name:", text, flags=re.MULTILINE)
    for block in blocks or [""]:
        name, _, statement = block.partition("\n")
        if not name.strip().isidentifier() or not statement.strip():
            raise ValueError(f"{path} names no statement in: -- name:{name}")
        yield name.strip(), statement.strip() + "\n"
