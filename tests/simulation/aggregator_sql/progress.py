"""Positions of the partitions, and the dispositions of their records."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import asyncpg

from simulation.aggregator_sql.rows import Progress, Rows, each
from simulation.postgres import Transaction


def create_progress(t: Transaction, topic: str, partitions: Sequence[int]) -> None:
    missing = [(topic, at) for at in partitions if not t.meets("progress", (topic, at))]
    for key in missing:
        t.put("progress", key, Progress())


def select_progress(t: Transaction, topic: str) -> Rows:
    return [(at, row.next_offset) for (name, at), row in t.rows("progress").items() if name == topic]


def select_received(t: Transaction, topic: str) -> Rows:
    return [
        (at, ceil(round(row.received * 1000, 3)), row.next_offset if row.records_end is None else row.records_end)
        for (name, at), row in t.rows("progress").items()
        if name == topic and row.next_offset
    ]


def lock_progress(t: Transaction, topic: str, partitions: Sequence[int]) -> Rows:
    keys = sorted((topic, at) for at in set(partitions) if t.get("progress", (topic, at)) is not None)
    t.lock("progress", *keys)
    return [(key[1], t.get("progress", key).next_offset) for key in keys]


def change_progress(t: Transaction, topic: str, changes: dict[int, dict[str, int]]) -> None:
    """Raises CheckViolationError if the dispositions do not add up."""
    t.lock("progress", *((topic, at) for at in changes))
    for at, change in changes.items():
        row = Progress(**change)
        if row.held < 0 or row.next_offset != row.counted + row.duplicate + row.rejected + row.held + row.skipped:
            raise asyncpg.CheckViolationError(f"every_offset_has_one_result: {row}")
        t.put("progress", (topic, at), row)


def advance_progress(t: Transaction, topic: str, *columns: Sequence[Any]) -> None:
    changes = {}
    t.lock("progress", *((topic, at) for at in columns[0]))
    for at, next_offset, *dispositions, end, received in each(*columns):
        before = t.get("progress", (topic, at))
        summed = map(sum, zip(before[1:-2], dispositions, strict=True))
        if end is None:
            end = before.next_offset if before.records_end is None else before.records_end
        changes[at] = Progress(next_offset, *summed, end, max(before.received, received or 0))._asdict()
    change_progress(t, topic, changes)


def resolve_progress(t: Transaction, topic: str, *columns: Sequence[int]) -> None:
    changes = {}
    t.lock("progress", *((topic, at) for at in columns[0]))
    for at, counted, duplicate, rejected in each(*columns):
        row = t.get("progress", (topic, at))
        changes[at] = row._replace(
            held=row.held - counted - duplicate - rejected,
            counted=row.counted + counted,
            duplicate=row.duplicate + duplicate,
            rejected=row.rejected + rejected,
        )._asdict()
    change_progress(t, topic, changes)


def add_hours(t: Transaction, topic: str, *columns: Sequence[Any]) -> None:
    t.add_all({"hours": ((topic, *row) for row in each(*columns))}, sums=4)


def resolve_hours(t: Transaction, topic: str, *columns: Sequence[Any]) -> None:
    rows = (
        (topic, at, hour, counted, duplicate, rejected, -counted - duplicate - rejected)
        for at, hour, counted, duplicate, rejected in each(*columns)
    )
    t.add_all({"hours": rows}, sums=4)


NAMES = {
    "select_progress": "partition next_offset",
    "select_received": "partition received_ms records_end",
    "lock_progress": "partition next_offset",
}
"""Columns of each statement's rows."""
