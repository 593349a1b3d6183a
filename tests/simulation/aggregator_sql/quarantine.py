"""Organizations for which a step fails, and their records."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import asyncpg

from simulation.aggregator_sql.rows import Rows, each
from simulation.postgres import Transaction


def lock_quarantined(t: Transaction, names: Sequence[str]) -> Rows:
    organizations = t.rows("organizations")
    keys = sorted((organizations[name].organization_id, "counting") for name in names if name in organizations)
    t.lock("quarantine", *(key for key in keys if t.get("quarantine", key) is not None), shared=True)
    held = {key[0] for key in keys if t.get("quarantine", key) is not None}
    return [(name,) for name in names if name in organizations and organizations[name].organization_id in held]


def select_due(t: Transaction, steps: Sequence[str]) -> Rows:
    """All rows. Tests on a real Postgres check the waits."""
    names = {row.organization_id: name for name, row in t.rows("organizations").items()}
    found = sorted((key, attempts) for key, attempts in t.rows("quarantine").items() if key[1] in steps)
    return [(key[0], names[key[0]], key[1], attempts) for key, attempts in found]


def count_failing(t: Transaction) -> Rows:
    known = len([name for name in t.rows("organizations") if name])
    steps = Counter(key[1] for key, attempts in t.rows("quarantine").items() if key[1] != "sums" and attempts > 0)
    return [(step, failing, known) for step, failing in sorted(steps.items())]


def upsert_quarantine(t: Transaction, step: str, organization_ids: Sequence[int], _: Sequence[str]) -> None:
    keys = [(number, step) for number in sorted(organization_ids)]
    t.lock("quarantine", *keys)
    for key in keys:
        t.put("quarantine", key, (t.get("quarantine", key) or 0) + 1)


def select_waiting(t: Transaction, names: Sequence[str]) -> Rows:
    organizations = t.rows("organizations")
    known = [name for name in names if name in organizations]
    return [
        (name,) for name in known if t.get("quarantine", (organizations[name].organization_id, "catalog")) is not None
    ]


def await_turn(t: Transaction, organization_ids: Sequence[int]) -> None:
    keys = [(number, "catalog") for number in sorted(organization_ids)]
    t.lock("quarantine", *keys)
    for key in keys:
        t.put("quarantine", key, t.get("quarantine", key) or 0)


def delete_quarantine(t: Transaction, step: str, organization_ids: Sequence[int]) -> None:
    keys = [(number, step) for number in organization_ids if t.get("quarantine", (number, step)) is not None]
    t.lock("quarantine", *keys)
    for key in keys:
        t.put("quarantine", key, None)


def lock_due(t: Transaction, organization_id: int, step: str) -> Rows:
    key = (organization_id, step)
    if t.get("quarantine", key) is not None:
        t.lock("quarantine", key)
    attempts = t.get("quarantine", key)
    return [] if attempts is None else [(attempts,)]


def insert_quarantined_records(t: Transaction, topic: str, *columns: Sequence[Any] | None) -> None:
    rows = [*each(*columns)]
    keys = [(topic, *row[1:3]) for row in rows]
    t.lock("aside", *keys)
    for key, row in zip(keys, rows, strict=True):
        if t.get("aside", key) is not None:
            raise asyncpg.UniqueViolationError(f"quarantined record {key}")
        t.put("aside", key, (row[0], *row[3:]))


def select_quarantined_records(t: Transaction, organization_id: int, topic: str, limit: int) -> Rows:
    found = sorted((key, row) for key, row in t.rows("aside").items() if row[0] == organization_id and key[0] == topic)
    return [(*key, *row[1:]) for key, row in found[:limit]]


def select_quarantined_catalog_events(t: Transaction, organization_id: int, topic: str, after: int, limit: int) -> Rows:
    found = sorted((key, row) for key, row in t.rows("aside").items() if row[0] == organization_id and key[0] == topic)
    return [(*key, *row[1:]) for key, row in found if key[2] > after][:limit]


def delete_quarantined_records(t: Transaction, topic: str, partitions: Sequence[int], offsets: Sequence[int]) -> Rows:
    keys = [(topic, *place) for place in each(partitions, offsets) if t.get("aside", (topic, *place)) is not None]
    t.lock("aside", *keys)
    found = [key for key in keys if t.get("aside", key) is not None]
    for key in found:
        t.put("aside", key, None)
    return [(key[1],) for key in found]


def release_quarantine(t: Transaction, organization_id: int, step: str, topic: str) -> Rows:
    key = (organization_id, step)
    if any(row[0] == organization_id and at[0] == topic for at, row in t.rows("aside").items()):
        return []
    t.lock("quarantine", key)
    if t.get("quarantine", key) is None:
        return []
    t.put("quarantine", key, None)
    return [(organization_id,)]


def wait_shortly(_: Transaction) -> None:
    """Tests on a real Postgres check the lock timeout."""


def wait_as_usual(_: Transaction) -> None: ...


def retry_now(_: Transaction, __: Sequence[int]) -> None: ...


NAMES = {
    "lock_quarantined": "organization",
    "select_waiting": "organization",
    "select_due": "organization_id organization step attempts",
    "count_failing": "step failing known",
    "lock_due": "attempts",
    "select_quarantined_records": "topic partition kafka_offset key value headers received",
    "select_quarantined_catalog_events": "topic partition kafka_offset key value headers received",
    "delete_quarantined_records": "partition",
    "release_quarantine": "organization_id",
}
"""Columns of each statement's rows."""
