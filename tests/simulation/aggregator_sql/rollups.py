"""Sums over the ledger, and sightings of agents."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import asyncpg
from aggregator.domain.people.runs import RunSum, join_runs

from simulation.aggregator_sql.rows import EPOCH, Rows, each
from simulation.postgres import Transaction


def plan_by_index(_: Transaction) -> Rows:
    """Tests on a real Postgres check the plans."""
    return [(False, "off", "off", "off")]


def plan_as_usual(_: Transaction) -> Rows:
    return [("on", "on", "on")]


def make_incoming(_: Transaction) -> None: ...


def make_attributed(_: Transaction) -> None: ...


def clear_incoming(t: Transaction) -> None:
    t.incoming.clear()


def incoming(t: Transaction, part: int) -> list[Sequence[Any]]:
    return [row[1:] for row in t.incoming if row[0] == part]


def add_days(t: Transaction, part: int) -> None:
    t.merge("days", incoming(t, part))


def add_months(t: Transaction, part: int) -> None:
    t.merge("months", ((row[0], EPOCH + timedelta(days=row[1]), *row[2:]) for row in incoming(t, part)))


def select_quarter_partitions(_: Transaction, months: Sequence[date]) -> Rows:
    return [(month,) for month in months]


def add_organization_days(t: Transaction, *columns: Sequence[Any]) -> Rows:
    rows = [*each(*columns)]
    months = [(row[0], month_of(row[1]), *row[2:]) for row in rows]
    t.add_all({"organization_days": rows, "organization_months": months})
    return []  # no history reaches the limit of sums


def month_of(day: int) -> date:
    return (EPOCH + timedelta(days=day)).replace(day=1)


def add_quarters(t: Transaction, part: int) -> None:
    rows, organizations = incoming(t, part), t.rows("organizations")
    broken = {organizations[name].organization_id for name in t.postgres.defects if name in organizations}
    if broken & {row[0] for row in rows}:
        raise asyncpg.RaiseError("a defect")
    t.merge("quarters", rows)


def add_corrections(t: Transaction, *columns: Sequence[Any]) -> None:
    t.add_all({"corrections": each(*columns)})


def add_late(t: Transaction, *columns: Sequence[Any]) -> None:
    t.add_all({"late": each(*columns)})


def clear_attributed(t: Transaction) -> None:
    t.attributed.clear()


def add_attributed_days(t: Transaction) -> None:
    t.merge("attributed_days", (row for row in t.attributed if row[3]))


def months_of_attributions(t: Transaction) -> list[tuple[Any, ...]]:
    return [(row[0], EPOCH + timedelta(days=row[1]), row[2], *row[4:]) for row in t.attributed if not row[3]]


def merge_attributed_months(t: Transaction) -> None:
    t.merge("attributed_months", months_of_attributions(t))


def add_attributed_months(t: Transaction) -> None:
    t.add_all({"attributed_months": months_of_attributions(t)})


def add_runs(t: Transaction, *columns: Sequence[Any]) -> None:
    rows = sorted(each(*columns), key=lambda row: row[:2])
    rows = [row for row in rows if row[3] or t.get("runs", row[:2]) is not None]
    t.lock("runs", *(row[:2] for row in rows))
    for *key, credits, events, first_us, agent_id, attribution_id, last_us, run_id, parent_id in rows:
        part = RunSum(credits, events, (first_us, agent_id, attribution_id), last_us, run_id, parent_id)
        known = t.get("runs", tuple(key))
        t.put("runs", tuple(key), part if known is None else join_runs(known, part))


def upsert_agent_sightings(t: Transaction, *columns: Sequence[Any]) -> None:
    rows = [*each(*columns)]
    t.lock("sightings", *(row[:2] for row in rows))
    for organization_id, agent_id, kind, name, saved, seen, named in rows:
        before = t.get("sightings", (organization_id, agent_id))
        if before is not None:
            saved = saved or before[2]
            kind = kind if seen > before[3] else before[0]
            seen = max(seen, before[3])
            if named is None or (before[4] is not None and named <= before[4]):
                name, named = before[1], before[4]
        t.put("sightings", (organization_id, agent_id), (kind, name, saved, seen, named))


NAMES = {
    "plan_by_index": "has_incoming set_config set_config set_config",
    "plan_as_usual": "set_config set_config set_config",
    "select_quarter_partitions": "month",
    "add_organization_days": "organization_id",
}
"""Columns of each statement's rows."""
