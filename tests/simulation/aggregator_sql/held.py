"""Usage that waits, and its release."""

from collections.abc import Iterable, Sequence
from typing import Any

from aggregator.domain.sum_limit import SUM_LIMIT

from simulation.aggregator_sql.rows import Held, Rows, each
from simulation.postgres import Transaction


def insert_held(t: Transaction, *columns: Sequence[Any] | None) -> None:
    rows = [*each(*columns)]
    t.lock("held", *(row[:2] for row in rows))
    for row in rows:
        t.put("held", row[:2], Held(*row[2:]))


def waiting_rows(t: Transaction) -> Iterable[Held]:
    return (row for row in t.rows("held").values() if row.waits_for != SUM_LIMIT)


def select_held_organizations(t: Transaction, after: int) -> Rows:
    """Also those whose release failed. Tests on a real Postgres check the waits after a failure."""
    waiting = {row.organization_id for row in waiting_rows(t)}
    found = ((row.organization_id, name, row.time_zone) for name, row in t.rows("organizations").items())
    return [row for row in found if row[0] in waiting and row[0] > after]


def select_held_kinds(t: Transaction, organization_id: int, rate_key: str, series_id: int, limit: int) -> Rows:
    series = {number: key[1:] for key, number in t.rows("series").items()}
    kinds = {
        (row.rate_key, row.series_id): (row.unit, row.unit and row.feature)
        for row in waiting_rows(t)
        if row.organization_id == organization_id
    }
    next_kinds = [key for key in sorted(kinds) if key > (rate_key, series_id)][:limit]
    return [(*key, *kinds[key], *series[key[1]]) for key in next_kinds]


def select_held_portion(t: Transaction, organization_id: int, *columns: Any) -> Rows:
    *kinds, limit = columns
    found = []
    for position, (rate_key, series_id, *after) in enumerate(each(*kinds), 1):
        rows = (
            ((row.partition, row.offset), key, row)
            for key, row in t.rows("held").items()
            if row.waits_for != SUM_LIMIT
            and (row.organization_id, row.rate_key, row.series_id) == (organization_id, rate_key, series_id)
        )
        found += [
            (position, *key, series_id, *place, row.occurred, row.corrects_bucket, row.corrects)
            for place, key, row in sorted(rows, key=lambda found: found[0])
            if place > tuple(after)
        ]
    return found[:limit]


def select_held_originals(t: Transaction, bucket: int, identities: Sequence[Any]) -> Rows:
    found = [(identity, t.get("ledger", (bucket, identity))) for identity in identities]
    return [(identity, row.series_id, row.held and row.corrects is None) for identity, row in found if row is not None]


def lock_held(t: Transaction, *columns: Sequence[Any]) -> Rows:
    found = [(key, t.get("held", key)) for key in each(*columns)]
    waiting = [(key, row) for key, row in found if row is not None and row.waits_for != SUM_LIMIT]
    free = [(key, row) for key, row in waiting if t.postgres.is_free(t, ("held", key))]
    t.lock("held", *(key for key, _ in free))
    return [(*key, *row) for key, row in free]


def await_unit(t: Transaction, *columns: Sequence[Any]) -> None:
    t.lock("held", *(row[:2] for row in each(*columns)))
    for *key, unit in each(*columns):
        row = t.get("held", tuple(key))
        t.put("held", tuple(key), row._replace(waits_for="rate", unit=unit))


def count_held_ledger(t: Transaction, bucket: int, *columns: Sequence[Any] | None) -> None:
    t.lock("ledger", *((bucket, identity) for identity, *_ in each(*columns)))
    for identity, credits, rate_id, attribution_id, run, quantities, series_id in each(*columns):
        row = t.get("ledger", (bucket, identity))._replace(
            held=False, credits=credits, rate_id=rate_id, series_id=series_id
        )
        t.put("ledger", (bucket, identity), row._replace(attribution_id=attribution_id, run=run, quantities=quantities))


def delete_held(t: Transaction, *columns: Sequence[Any]) -> None:
    t.lock("held", *each(*columns))
    for key in each(*columns):
        t.put("held", key, None)


NAMES = {
    "select_held_organizations": "organization_id organization time_zone",
    "select_held_kinds": "rate_key series_id unit own_feature product feature_kind feature agent_id surface",
    "select_held_portion": "position ledger_bucket identity series_id kafka_partition kafka_offset occurred corrects_bucket corrects",
    "select_held_originals": "identity series_id is_waiting",
    "lock_held": "ledger_bucket identity organization_id series_id occurred credits quantity unit kafka_partition kafka_offset waits_for corrects_bucket corrects value received attribution_id run run_id parent_id quantities feature",
}
"""Columns of each statement's rows."""
