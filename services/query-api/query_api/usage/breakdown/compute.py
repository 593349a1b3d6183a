"""Computes the breakdown, for its route and for files."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import NamedTuple, get_args

from flexcredits_schemas.events import PRODUCTS, FeatureKind

from query_api.calendar import Days, split_at
from query_api.contracts.queries import sum_products
from query_api.contracts.range import choose_range, extend_to_months
from query_api.db.session import ReadSession
from query_api.usage.breakdown.domain.rows import WITH_AGENTS, WITH_CATEGORIES, Row, build_rows
from query_api.usage.breakdown.schemas import BreakdownQuery
from query_api.usage.domain.catalog import Features
from query_api.usage.domain.series import PickedSeries, SeriesUsage
from query_api.usage.queries import select_agents, select_features, select_series, sum_groups, sum_series_usage
from query_api.usage.views import kinds_of


class BreakdownTable(NamedTuple):
    """All rows of a view, in micro-credits. `previous` is None without a previous range."""

    days: Days
    days_before: Days | None
    rows: Sequence[Row]

    @property
    def total(self) -> int:
        return sum(row.credits for row in self.rows)

    @property
    def events(self) -> int:
        return sum(row.events for row in self.rows)

    @property
    def previous(self) -> int | None:
        return sum(row.previous for row in self.rows) if self.days_before else None


async def compute_breakdown(session: ReadSession, query: BreakdownQuery, today: date) -> BreakdownTable:
    """A product's usage as rows. Agents have their current name and status. Raises ApiProblem."""
    kinds = kinds_of(query.product, query.view)
    days, before = await choose_range(session, query, today)
    features = Features(await select_features(session, query.product, kinds), today, query.categories)
    series = await select_series(session, [query.product], kinds)
    stretch = extend_to_months(query, days)
    by_surface = query.group_by == "surface"
    used = await read_series_usage(
        session, series.of_surfaces(query.surface), features if query.view in WITH_CATEGORIES else None, stretch, before,
        by_surface=by_surface,
    )  # fmt: skip
    uses = [use for use in used if use.day >= stretch.first]
    uses_before = [use for use in used if use.day < stretch.first]
    agents = await select_agents(session) if query.view in WITH_AGENTS else {}
    rows = build_rows(query.view, uses, features, agents, uses_before, by_surface=by_surface)
    return BreakdownTable(days, before, rows)


async def read_series_usage(
    session: ReadSession, series: PickedSeries, features: Features | None, days: Days, before: Days | None,
    *, by_surface: bool = False,
) -> list[SeriesUsage]:  # fmt: skip
    """Sums of series over `days`, and over the previous range `before`. With `features`, separate sums for each category."""
    ranges = [before, days] if before else [days]
    # One sum for features whose category does not change; one per range between changes for the others.
    changing, constant = series.divide(features.changing(ranges[0].first, days.last) if features else set())
    cuts = features.changes() if features else []
    parts = [part for whole in ranges for part in split_at(whole, cuts)]
    uses = await sum_series_usage(session, constant, ranges, by_surface=by_surface)
    return uses + await sum_series_usage(session, changing, parts, by_surface=by_surface)


async def sum_product_credits(session: ReadSession, days: Days, surfaces: Collection[str] | None) -> dict[str, int]:
    """Micro-credits of all products; `surfaces` None: all surfaces."""
    if surfaces is None:
        [used] = await sum_products(session, days)
        return used
    used = dict.fromkeys(PRODUCTS, 0)
    series = (await select_series(session, PRODUCTS, get_args(FeatureKind))).of_surfaces(surfaces)
    groups = {series_id: PRODUCTS.index(one.product) for series_id, one in series.by_id.items()}
    for _, number, credits, _ in await sum_groups(session, series, groups, [days]):
        used[PRODUCTS[number]] = credits
    return used
