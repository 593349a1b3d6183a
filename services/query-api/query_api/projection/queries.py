"""Statements of the projection. Credits are micro-credits."""

from collections.abc import Sequence
from datetime import date, datetime

from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.db.statements import SQL


async def sum_series_days(session: ReadSession, days: Days, series: Sequence[int]) -> dict[date, int]:
    """By day. Days without usage are left out."""
    rows = await session.connection.fetch(SQL["sum_series_days"], session.organization_id, *days, series)
    return {row["day"]: row["credits"] for row in rows}


async def sum_quarters_of_day(
    session: ReadSession, begins_at: datetime, ends_at: datetime
) -> list[tuple[datetime, int]]:
    """When each quarter of an hour begins, and its credits. Quarters without usage are left out."""
    rows = await session.connection.fetch(SQL["sum_quarters_of_day"], session.organization_id, begins_at, ends_at)
    return [(row["bucket_at"], row["credits"]) for row in rows]
