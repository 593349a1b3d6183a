"""Numbers of series and attributions, and how many are new in a month."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from simulation.aggregator_sql.rows import Rows, each
from simulation.postgres import Transaction


def ensure_series(t: Transaction, *columns: Sequence[Any]) -> Rows:
    keys = [*each(*columns)]
    numbers = t.numbers("series", len(keys))
    missing = [key for key in keys if not t.meets("series", key)]
    new = [(key, number) for key, number in zip(keys, numbers, strict=True) if key in missing]
    for key, number in new:
        t.put("series", key, number)
    return [(key[0], number) for key, number in new]


def select_series(t: Transaction, *columns: Sequence[Any]) -> Rows:
    found = [t.get("series", key) for key in each(*columns)]
    return [(position, number) for position, number in enumerate(found, 1) if number is not None]


def select_series_parts(t: Transaction, numbers: Sequence[int]) -> Rows:
    return [(number, *key[1:]) for key, number in t.rows("series").items() if number in numbers]


def select_series_months(t: Transaction, organization_ids: Sequence[int], month: date) -> Rows:
    found = [(number, t.get("series_months", (number, month))) for number in organization_ids]
    return [(number, row[0]) for number, row in found if row is not None]


def count_series(t: Transaction, *columns: Sequence[Any]) -> None:
    add_months_of(t, "series_months", *columns)


def ensure_attributions(t: Transaction, *columns: Sequence[Any]) -> Rows:
    if "attributions" not in t.absent:
        t.absent["attributions"] = {row[:2] for row in each(*columns) if t.get("attributions", row[:2]) is None}
    rows = sorted(row for row in each(*columns) if row[:2] in t.absent["attributions"])
    numbers = t.numbers("attributions", len(rows))
    missing = [row for row in rows if not t.meets("attributions", row[:2])]
    new = []
    for row, number in zip(rows, numbers, strict=True):
        if row in missing:
            t.put("attributions", row[:2], (number, *row[2:]))
            new.append((*row[:2], number))
    return new


def select_attributions(t: Transaction, *columns: Sequence[Any]) -> Rows:
    found = [(key, t.get("attributions", key)) for key in each(*columns)]
    return [(*key, row[0]) for key, row in found if row is not None]


def select_attribution_months(t: Transaction, *columns: Sequence[Any]) -> Rows:
    found = [(key, t.get("attribution_months", key)) for key in each(*columns)]
    return [(*key, row[0]) for key, row in found if row is not None]


def count_attributions(t: Transaction, *columns: Sequence[Any]) -> None:
    add_months_of(t, "attribution_months", *columns)


def add_months_of(t: Transaction, table: str, *columns: Sequence[Any]) -> None:
    for organization_id, month, created, folded in sorted(each(*columns)):
        key = organization_id, month
        t.lock(table, key)
        before = t.get(table, key) or (0, 0)
        t.put(table, key, (before[0] + created, before[1] + folded))


def select_attribution_parts(t: Transaction, numbers: Sequence[int]) -> Rows:
    """Labels as jsonb prints them: shorter keys first."""
    found = [row for row in t.rows("attributions").values() if row[0] in numbers]
    labels = [sorted(json.loads(row[4]).items(), key=lambda item: (len(item[0].encode()), item[0])) for row in found]
    return [(*row[:4], json.dumps(dict(items), ensure_ascii=False)) for row, items in zip(found, labels, strict=True)]


NAMES = {
    "ensure_series": "organization_id series_id",
    "select_series": "position series_id",
    "select_series_parts": "series_id product feature_kind feature agent_id surface",
    "select_series_months": "organization_id created",
    "ensure_attributions": "organization_id identity attribution_id",
    "select_attributions": "organization_id identity attribution_id",
    "select_attribution_months": "organization_id month created",
    "select_attribution_parts": "attribution_id actor_kind actor_id group_id labels",
}
"""Columns of each statement's rows."""
