"""Statements about usage: sums, series, features and agents. Credits are micro-credits."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

import asyncpg
from flexcredits_schemas.calendar import local_date, midnight
from flexcredits_schemas.events import PRODUCTS

from query_api.attributions.domain.spans import Span
from query_api.calendar import Days, count_grains, grain_bounds
from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.turns import in_parts
from query_api.usage.domain.catalog import Agent, Feature, FeatureEntry, agent_status
from query_api.usage.domain.series import PickedSeries, Series, SeriesColumns

ROWS_OF_A_SERIES_MAX = 2
"""Up to so many rows of a series in a range, it costs less to send them all than to add them up in Postgres."""


async def select_features(session: ReadSession, product: str, feature_kinds: Sequence[str]) -> list[FeatureEntry]:
    rows = await session.connection.fetch(SQL["select_features"], session.organization_id, product, feature_kinds)
    return [
        FeatureEntry(
            feature=Feature(row["feature_kind"], row["feature"]),
            deployment_wide=row["deployment_wide"],
            effective_from=row["effective_from"],
            display_name=row["display_name"],
            category=row["category"],
        )
        for row in rows
    ]


async def select_agents(session: ReadSession) -> dict[str, Agent]:
    rows = await session.connection.fetch(SQL["select_agents"], session.organization_id)
    agents: dict[str, Agent] = {}
    async for some in in_parts(rows):
        agents |= {
            row["agent_id"]: Agent(
                agent_status(row["registered"], row["seen"], row["ever_saved"]), row["name"], row["deleted_at"]
            )
            for row in some
        }
    return agents


async def select_series(session: ReadSession, products: Sequence[str], feature_kinds: Sequence[str]) -> PickedSeries:
    rows = await session.connection.fetch(SQL["select_series"], session.organization_id, products, feature_kinds)
    by_id: dict[int, Series] = {}
    async for some in in_parts(rows):
        by_id |= {row["series_id"]: read_series(row) for row in some}
    return PickedSeries(by_id, rows[0]["series"] if rows else 0)


def read_series(row: asyncpg.Record) -> Series:
    return Series(Feature(row["feature_kind"], row["feature"]), row["agent_id"], row["surface"], row["product"])


async def select_used_surfaces(session: ReadSession, product: str, feature_kinds: Sequence[str]) -> list[str]:
    """Surfaces with counted usage of the product's features of these kinds, in any period, sorted."""
    rows = await session.connection.fetch(
        SQL["select_used_surfaces"], session.organization_id, [product], feature_kinds
    )
    return [row["surface"] for row in rows]


async def sum_series_usage(
    session: ReadSession, series: PickedSeries, stretches: Sequence[Days]
) -> dict[date, SeriesColumns]:
    """Usage of the series by the first day of each range; a range without usage is left out.

    May contain further series of the organization, and a series several times.
    """
    if not series.by_id:
        return {}
    columns = zip(*([days.first, *grain_bounds(days)] for days in stretches), strict=True)
    picks = series.picks()
    if picks is not None:
        rows = await session.connection.fetch(SQL["sum_picked_series"], session.organization_id, *columns, picks)
    else:
        is_short = all(count_grains(days) <= ROWS_OF_A_SERIES_MAX for days in stretches)
        statement = "read_series" if is_short else "sum_series"
        rows = await session.connection.fetch(SQL[statement], session.organization_id, *columns)
    return {row["first"]: SeriesColumns.of(row["series"], row["credits"], row["events"]) for row in rows}


async def sum_selected_series(
    session: ReadSession, spans: Sequence[Span], stretches: Sequence[Days]
) -> dict[date, SeriesColumns]:
    """As sum_series_usage, of all series, for usage of the selected attributions only."""
    if not spans:
        return {}
    selected = (
        [span.attribution_id for span in spans],
        [span.first_on for span in spans],
        [span.last_on for span in spans],
    )
    firsts, lasts = zip(*stretches, strict=True)
    rows = await _sum(session, "sum_selected_series", firsts, lasts, *selected)
    return {row["first"]: SeriesColumns.of(row["series"], row["credits"], row["events"]) for row in rows}


async def sum_groups(
    session: ReadSession, series: PickedSeries, groups: Mapping[int, int], stretches: Sequence[Days]
) -> list[tuple[date, int, int, int]]:
    """First day of the range, group, credits and events; `groups` maps series ids to group numbers."""
    columns = zip(*([days.first, *grain_bounds(days)] for days in stretches), strict=True)
    grouped = (groups.keys(), groups.values(), series.picks())
    rows = await _sum(session, "sum_groups", *columns, *grouped)
    return [(row["first"], row["number"], row["credits"], row["events"]) for row in rows]


async def sum_quarters(
    session: ReadSession, groups: Mapping[int, int], starts: Sequence[datetime], end_at: datetime
) -> list[tuple[int, int, int, int]]:
    """Index of the bucket in `starts`, group, credits and events. Only quarters of an hour that are still kept."""
    rows = await _sum(session, "sum_quarters", starts, end_at, groups.keys(), groups.values())
    return [(row["place"], row["number"], row["credits"], row["events"]) for row in rows]


async def read_product_days(
    session: ReadSession, months: Sequence[date]
) -> list[tuple[date, list[int], list[int], list[int], list[int]]]:
    """First day of each month with usage, and in parallel columns: index in PRODUCTS, ordinal of the day, credits, events."""
    rows = await session.connection.fetch(SQL["read_product_days"], session.organization_id, months)
    return [
        (
            row["month"], [PRODUCTS.index(product) for product in row["products"]], [day.toordinal() for day in row["days"]],
            row["credits"], row["events"],
        )
        for row in rows
    ]  # fmt: skip


async def _sum(session: ReadSession, statement: str, *values: object) -> list[asyncpg.Record]:
    await session.connection.execute(SQL["plan_for_values"])
    return await session.connection.fetch(SQL[statement], session.organization_id, *values)


async def select_first_quarter(session: ReadSession) -> date | None:
    first: date | None = await session.connection.fetchval(SQL["select_first_quarter"])
    return first


async def first_whole_day(session: ReadSession) -> tuple[date, datetime]:
    """The first day in the organization's zone with all quarters of an hour, and its first instant."""
    zone = session.organization.time_zone
    kept_from = datetime.combine(await select_first_quarter(session) or date(9999, 1, 1), time(), UTC)
    day = local_date(kept_from, zone)
    if midnight(day, zone) < kept_from:
        day += timedelta(days=1)
    return day, midnight(day, zone)
