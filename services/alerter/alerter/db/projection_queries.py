"""Projections of periods, and what they are made from. Micro-credits."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from runtime.postgres.pool import Connection
from runtime.postgres.statements import from_record

from alerter.db.statements import SQL
from alerter.domain.projected import MadeFor, Mark, PassedOn, StoredProjection
from alerter.domain.thresholds import Period

PeriodKey = tuple[int, str, str, str]
"""Organization, rule, contract and period."""


class CountedTo(NamedTuple):
    """How far an organization's usage is counted."""

    complete_to: datetime | None
    is_quarantined: bool
    held: int
    counted: int


async def read_projections(
    connection: Connection, organization_ids: Sequence[int] | None
) -> Mapping[PeriodKey, StoredProjection]:
    """The last projections of these organizations (None: all)."""
    found = {}
    for row in await connection.fetch(SQL["select_projections"], organization_ids):
        columns = zip(row["thresholds"], row["permilles"], row["p10"], row["p50"], row["p90"], strict=False)
        found[row["organization_id"], row["rule"], row["contract_id"], row["period_id"]] = StoredProjection(
            day=row["day"],
            made_for=MadeFor(row["starts_on"], row["ends_on"], row["available"]),
            thresholds=row["thresholds"],
            marks=[Mark(threshold, permille, PassedOn(*dates)) for threshold, permille, *dates in columns],
            refusal=row["refusal"],
            detail=row["detail"],
            projected_at=row["projected_at"],
        )
    return found


async def save_projection(
    connection: Connection, organization_id: int, period: Period, projection: StoredProjection
) -> None:
    permilles = [mark.permille for mark in projection.marks]
    dates = [[mark.passed_on[place] for mark in projection.marks] for place in range(3)]
    await connection.execute(
        SQL["save_projection"],
        organization_id, *period[:3], *projection.made_for[:2], projection.day, projection.made_for.available,
        projection.thresholds, permilles, *dates, projection.refusal, projection.detail, projection.projected_at,
    )  # fmt: skip


async def select_counted_to(connection: Connection, organization_id: int, topic: str, since: date) -> CountedTo:
    row = await connection.fetchrow(SQL["select_counted_to"], organization_id, topic, since)
    assert row is not None
    return from_record(CountedTo, row)


async def sum_days(connection: Connection, organization_id: int, first: date, last: date) -> dict[date, int]:
    """By day. Days without usage are left out."""
    rows = await connection.fetch(SQL["sum_days"], organization_id, first, last)
    return {row["day"]: row["credits"] for row in rows}


async def sum_quarters(
    connection: Connection, organization_id: int, begins_at: datetime, ends_at: datetime
) -> list[tuple[datetime, int]]:
    """When each quarter of an hour begins, and its credits. Quarters without usage are left out."""
    rows = await connection.fetch(SQL["sum_quarters"], organization_id, begins_at, ends_at)
    return [(row["bucket_at"], row["credits"]) for row in rows]
