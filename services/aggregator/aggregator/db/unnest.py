"""Converts rows to the columns that statements unnest, and groups ledger keys by partition."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from asyncpg.pgproto.pgproto import UUID

from aggregator.domain.decode import UsageRecord


def columns_of(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...] | None]:
    """Rows as the columns for unnest. A column without any value becomes null, which unnest fills with nulls."""
    return [or_null(column) for column in zip(*rows, strict=True)]


def or_null(column: tuple[Any, ...]) -> tuple[Any, ...] | None:
    return column if any(value is not None for value in column) else None


def by_bucket(keys: Iterable[tuple[int, bytes]]) -> Iterable[tuple[int, list[UUID]]]:
    """Ledger keys grouped by ledger partition, sorted. One statement for each, so that Postgres plans a single
    partition."""
    for bucket, group in groupby(sorted(set(keys)), key=lambda key: key[0]):
        yield bucket, [UUID(identity) for _, identity in group]


def corrects_of(use: UsageRecord) -> tuple[int | None, UUID | None]:
    return (use.corrects[0], UUID(use.corrects[1])) if use.corrects else (None, None)
