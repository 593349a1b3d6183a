"""Rows of the simulated tables, and unnest."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import repeat
from typing import Any, NamedTuple

Rows = Iterable[tuple[Any, ...]]
EPOCH = date(1970, 1, 1)


class Progress(NamedTuple):
    """`partition_progress`, keyed by topic and partition."""

    next_offset: int = 0
    counted: int = 0
    duplicate: int = 0
    rejected: int = 0
    held: int = 0
    skipped: int = 0
    records_end: int | None = None
    received: float = 0


class Organization(NamedTuple):
    """`organizations`, keyed by name."""

    organization_id: int
    time_zone: str | None = None
    ordering: tuple[datetime, int] | None = None


class Entry(NamedTuple):
    """`usage_ledger`, keyed by bucket and identity."""

    organization_id: int
    series_id: int
    occurred: float
    credits: int
    held: bool
    received: float
    partition: int
    offset: int
    rate_id: int | None
    quantity: int | None
    corrects_bucket: int | None
    corrects: Any
    attribution_id: int | None = None
    run: Any = None
    quantities: str | None = None
    corrected: int = 0


class Held(NamedTuple):
    """`usage_held`, keyed by bucket and identity."""

    organization_id: int
    series_id: int
    occurred: float
    credits: int | None
    quantity: int | None
    unit: str | None
    partition: int
    offset: int
    waits_for: str
    corrects_bucket: int | None
    corrects: Any
    value: bytes | None
    received: float
    attribution_id: int | None
    run: Any
    run_id: str | None
    parent_id: str | None
    quantities: str | None
    feature: str | None

    @property
    def rate_key(self) -> str:
        return "" if self.unit is None else f"{self.unit}\x1f{self.feature or ''}"


def each(*columns: Sequence[Any] | None) -> Rows:
    """unnest: a column that is null itself is filled with nulls."""
    length = max(len(column) for column in columns if column is not None)
    return zip(*(repeat(None, length) if column is None else column for column in columns), strict=True)
