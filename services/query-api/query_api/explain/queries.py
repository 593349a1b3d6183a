"""Statements about corrections, late usage and rates."""

from collections.abc import Sequence
from datetime import datetime

from flexcredits_schemas.rating.card import Rate

from query_api.calendar import Days
from query_api.db.rows import from_records
from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.explain.domain.prices import OWN


async def sum_corrections(session: ReadSession, days: Days) -> dict[int, int]:
    """Micro-credits by series."""
    rows = await session.connection.fetch(SQL["sum_corrections"], session.organization_id, *days)
    return {row["series_id"]: row["credits"] for row in rows}


async def sum_late_uses(session: ReadSession, days: Days) -> dict[str, int]:
    """Uses that were received after the last of the days, by product."""
    rows = await session.connection.fetch(SQL["sum_late_uses"], session.organization_id, *days)
    return {row["product"]: row["uses"] for row in rows}


async def sum_attributed_series(
    session: ReadSession, days: Days, attributions: Sequence[int]
) -> list[tuple[int, int, int, int]]:
    """Attribution, series, micro-credits and uses."""
    if not attributions:
        return []
    await session.connection.execute(SQL["plan_for_values"])
    rows = await session.connection.fetch(SQL["sum_attributed_series"], session.organization_id, *days, attributions)
    return [(row["attribution_id"], row["series_id"], row["credits"], row["uses"]) for row in rows]


async def select_changing_rates(session: ReadSession, begin: datetime, end: datetime) -> list[Rate]:
    """All rates of the products and kinds of feature for which a rate takes effect in between."""
    rows = await session.connection.fetch(SQL["select_changing_rates"], session.organization_id, begin, end, OWN)
    return from_records(Rate, rows)
