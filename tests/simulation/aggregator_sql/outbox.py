"""Totals and dead letters that the relay publishes."""

from collections import defaultdict
from collections.abc import Sequence
from math import ceil
from typing import Any

import asyncpg

from simulation.aggregator_sql.rows import Rows, each
from simulation.postgres import Transaction


def insert_dead_letters(t: Transaction, topic: str, *columns: Sequence[Any] | None) -> None:
    rows = [*each(*columns)]
    keys = [(topic, row[0], row[1]) for row in rows]
    t.lock("dead_letters", *keys)
    for key, number, row in zip(keys, t.numbers("dead_letters", len(rows)), rows, strict=True):
        if t.get("dead_letters", key) is not None:
            raise asyncpg.UniqueViolationError(f"dead letter {key}")
        sender = "?" if row[8] is None else f"/{row[8][:100]}"
        t.put("dead_letters", key, (number, False, *row[2:8], sender))


def plan_each_time(_: Transaction) -> None: ...


def claim_dead_letters(t: Transaction, limit: int, _bytes: int, value_bytes: int, after: str) -> Rows:
    waiting = defaultdict(list)
    for key, row in sorted(t.rows("dead_letters").items(), key=lambda item: item[1][0]):
        if not row[1] and row[-1] > after:
            waiting[row[-1]].append((key, row))
    turns = sorted(waiting)[:limit]
    claimed = []
    for sender in turns:
        free = [each for each in waiting[sender] if t.postgres.is_free(t, ("dead_letters", each[0]))]
        claimed += [(place, sender, each) for place, each in enumerate(free[: ceil(limit / len(turns))])]
    t.lock("dead_letters", *(key for _, _, (key, _) in claimed))
    portion = sorted((row[0], key, row) for _, _, (key, row) in sorted(claimed)[:limit])
    return [
        (row[0], *key, row[3] and row[3][:value_bytes], row[3] and len(row[3]), *row[4:]) for _, key, row in portion
    ]


def mark_dead_letters_published(t: Transaction, numbers: Sequence[int]) -> None:
    for key, row in t.rows("dead_letters").items():
        if row[0] in numbers:
            t.put("dead_letters", key, (row[0], True, *row[2:]))


def insert_totals(t: Transaction, organization_ids: Sequence[int]) -> None:
    for organization_id in organization_ids:
        t.append("totals", organization_id)


def try_relay_lock(t: Transaction, number: int) -> Rows:
    free = t.postgres.is_free(t, ("advisory", number))
    if free:
        t.lock("advisory", number)
    return [(free,)]


def claim_totals(t: Transaction, limit: int) -> Rows:
    claimed = sorted(t.rows("totals").items())[:limit]
    t.lock("totals", *(number for number, _ in claimed))
    for number, _ in claimed:
        t.put("totals", number, None)
    return [(organization_id, number) for number, organization_id in claimed]


def select_totals(t: Transaction, organization_ids: Sequence[int]) -> Rows:
    names = {row.organization_id: name for name, row in t.rows("organizations").items()}
    levels: dict[tuple[int, str, str], int] = defaultdict(int)
    for (organization_id, _, product, _), (credits, _) in t.rows("organization_months").items():
        if organization_id in organization_ids:
            levels[organization_id, names[organization_id], product] += credits
    return [(*key, credits) for key, credits in levels.items()]


NAMES = {
    "claim_dead_letters": "dead_letter_id topic partition kafka_offset value value_bytes headers reason pointer received sender",
    "try_relay_lock": "locked",
    "claim_totals": "organization_id totals_id",
    "select_totals": "organization_id organization product credits",
}
"""Columns of each statement's rows."""
