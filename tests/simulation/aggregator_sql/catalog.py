"""Organizations and rates, and the locks of the catalog."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from simulation.aggregator_sql.rows import Organization, Rows, each
from simulation.postgres import Transaction


def ensure_organizations(t: Transaction, names: Sequence[str]) -> None:
    numbers = t.numbers("organizations", len(names))
    missing = [name for name in names if not t.meets("organizations", name)]
    for name, number in zip(names, numbers, strict=True):
        if name in missing:
            t.put("organizations", name, Organization(number))


def select_organizations(t: Transaction, names: Sequence[str]) -> Rows:
    found = t.rows("organizations")
    return [(name, found[name].organization_id, found[name].time_zone) for name in names if name in found]


def insert_zone_rules(*_: Any) -> Rows:
    """Counted usage does not depend on the rules."""
    return []


def upsert_organization(t: Transaction, name: str, _: str, zone: str, *rest: Any) -> Rows:
    at, offset = rest[-2:]
    [number] = t.numbers("organizations", 1)
    t.lock("organizations", name)
    row = t.get("organizations", name) or Organization(number)
    if row.ordering is not None and row.ordering >= (at, offset):
        return []
    if any(key[0] == row.organization_id for key in t.rows("organization_days")):
        row = row._replace(ordering=(at, offset))
    else:
        row = row._replace(time_zone=zone, ordering=(at, offset))
    t.put("organizations", name, row)
    return [(row.time_zone,)]


def select_changed_organizations(t: Transaction, version: int) -> Rows:
    return [
        (name, row.organization_id, row.time_zone)
        for name, row in t.rows("organizations").items()
        if row.ordering is not None and row.ordering[1] >= version
    ]


def has_rate(t: Transaction, organization_id: int, source: str, event_id: str) -> Rows:
    return [(t.get("rates", (organization_id, source, event_id)) is not None,)]


def select_known_rates(t: Transaction, organization_id: int, *names: Sequence[str]) -> Rows:
    return [place for place in each(*names) if t.get("rates", (organization_id, *place)) is not None]


def has_rates(_: Transaction, __: int, ___: datetime, ____: int) -> Rows:
    return [(False,)]


def insert_rate(t: Transaction, organization_id: int, *row: Any) -> None:
    [number] = t.numbers("rates", 1)
    key = (organization_id, *row[-2:])
    if not t.meets("rates", key):
        t.put("rates", key, (number, organization_id, *row))


def is_in_its_part(t: Transaction, organization_id: int, *of: str) -> Rows:
    product, feature_kind, feature, unit, whole = of
    newest: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in sorted(t.rows("rates").values(), key=lambda row: row[-3]):
        if (
            row[1] in (organization_id, 0)
            and row[2:4] == (product, feature_kind)
            and (feature == "*" or row[4] in (feature, "*"))
        ):
            newest[row[1], row[4], row[5]] = row
    wholes, found = [whole], {whole}
    while wholes:
        at = wholes.pop()
        more = {row[6] for row in newest.values() if row[5] == at and row[6] is not None} - found
        found |= more
        wholes += more
    return [(unit in found,)]


def select_changed_rates(t: Transaction, version: int) -> Rows:
    names = {row.organization_id: name for name, row in t.rows("organizations").items()}
    rates = [
        (number, names[organization_id], *dimensions, credits, per, begins.timestamp() if begins else float("-inf"), received.timestamp(), offset, part_of)
        for number, organization_id, *dimensions, part_of, credits, per, begins, received, offset, _, _ in t.rows("rates").values()
        if offset >= version or version <= 0
    ]  # fmt: skip
    return sorted(rates, key=lambda rate: rate[-2])


def select_catalog_version(t: Transaction, topic: str) -> Rows:
    row = t.get("progress", (topic, 0))
    return [(row and row.next_offset, 0)]


def select_changes(_: Transaction) -> Rows:
    return [(0,)]


def lock_catalog(t: Transaction, number: int) -> Rows:
    t.lock("advisory", number)
    return [(None,)]


def lock_catalog_shared(t: Transaction, number: int, statement_timeout: str) -> Rows:
    t.lock("advisory", number, shared=True)
    return [(statement_timeout, f"{float(statement_timeout.removesuffix('s')) * 0.75:g}s", None)]


def insert_wakeups(t: Transaction, organization_ids: Sequence[int]) -> None:
    for organization_id in organization_ids:
        t.append("wakeups", organization_id)


NAMES = {
    "select_organizations": "organization organization_id time_zone",
    "upsert_organization": "time_zone",
    "select_changed_organizations": "organization organization_id time_zone",
    "has_rate": "has_rate",
    "select_known_rates": "source event_id",
    "has_rates": "has_rates",
    "is_in_its_part": "is_in_its_part",
    "select_changed_rates": "rate_id organization product feature_kind feature unit credits per effective_from received offset part_of",
    "select_catalog_version": "next_offset changes",
    "select_changes": "changes",
    "lock_catalog": "locked",
    "lock_catalog_shared": "set_config set_config pg_advisory_xact_lock_shared",
}
"""Columns of each statement's rows."""
