"""Statements that only comparisons need."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from query_api.db.rows import from_records
from query_api.db.session import ReadSession
from query_api.db.statements import SQL


class DaySum(NamedTuple):
    day: int
    series_id: int
    credits: int
    events: int


async def sum_days_of_quarters(
    session: ReadSession, begins_at: Sequence[datetime], series: Sequence[int]
) -> list[DaySum]:
    """By the number of the day from 0; the last of `begins_at` is the end of the last day."""
    rows = await session.connection.fetch(SQL["sum_days_of_quarters"], session.organization_id, begins_at, series)
    return from_records(DaySum, rows)


async def select_series_between(session: ReadSession, since: datetime, until: datetime) -> set[int]:
    rows = await session.connection.fetch(SQL["select_series_between"], session.organization_id, since, until)
    return {row["series_id"] for row in rows}
