"""Converts Postgres rows to NamedTuples by column name."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import asyncpg
from runtime.postgres.statements import from_record

RowT = TypeVar("RowT", bound=tuple[Any, ...])


def from_records(kind: Callable[..., RowT], records: Iterable[asyncpg.Record]) -> list[RowT]:
    return [from_record(kind, record) for record in records]


def group_records(key: str, kind: Callable[..., RowT], records: Iterable[asyncpg.Record]) -> dict[Any, list[RowT]]:
    """Group by the column `key`, which is not a field of the NamedTuple. Keeps the order of the records."""
    groups: dict[Any, list[RowT]] = {}
    for record in records:
        columns = dict(record)
        groups.setdefault(columns.pop(key), []).append(from_record(kind, columns))
    return groups
