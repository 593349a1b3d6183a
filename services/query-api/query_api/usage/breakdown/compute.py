"""Computes the breakdown, for its route and for files."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import NamedTuple, get_args

from flexcredits_schemas.events import PRODUCTS, FeatureKind

from query_api.attributions.usage import Chosen, choose_spans
from query_api.calendar import Days, split_at
from query_api.contracts.queries import sum_products
from query_api.contracts.range import choose_range, extend_to_months
from query_api.db.session import ReadSession
from query_api.usage.breakdown.domain.tree import WITH_AGENTS, LeafUsage, Row
from query_api.usage.breakdown.names import NamedView, Names, ProductNames, TreeKey
from query_api.usage.breakdown.queries import UsageVersion, select_usage_version
from query_api.usage.breakdown.schemas import BreakdownQuery
from query_api.usage.domain.series import PickedSeries, SeriesColumns
from query_api.usage.queries import select_series, sum_groups, sum_selected_series, sum_series_usage
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


class TableUsage(NamedTuple):
    """What a table needs, read in one snapshot. Its rows are computed without a connection."""

    days: Days
    days_before: Days | None
    first: date
    """Sums of ranges that begin earlier are of the range before."""
    names: ProductNames
    view: NamedView
    constant: PickedSeries
    """Series of features whose category does not change within the ranges."""
    changing: PickedSeries
    constant_sums: Mapping[date, SeriesColumns]
    changing_sums: Mapping[date, SeriesColumns]
    chosen: Chosen | None
    """Attributions that the request selects; None without such a filter."""

    def compute(self) -> BreakdownTable:
        """Agents have their current name and status."""
        leaves = self.view.leaves(self.names.series.by_id, self.first)
        if self.constant is not self.names.series:
            leaves = {series_id: leaves[series_id] for series_id in self.constant.by_id}
        usage: tuple[list[LeafUsage], list[LeafUsage]] = ([], [])  # in the range, and in the range before
        for first, columns in self.constant_sums.items():
            usage[first < self.first].append(to_leaves(columns, leaves))
        for first, columns in self.changing_sums.items():
            own = {series_id: self.view.tree.leaf(one, first) for series_id, one in self.changing.by_id.items()}
            usage[first < self.first].append(to_leaves(columns, own))
        return BreakdownTable(self.days, self.days_before, self.view.tree.rows(*usage))


async def read_breakdown(
    session: ReadSession, names: Names, query: BreakdownQuery, today: date, version: UsageVersion | None = None,
    *, with_previous: bool = True,
) -> TableUsage:  # fmt: skip
    """Read a product's usage. `version` is that of the session's snapshot; None reads it. Raises ApiProblem."""
    kinds = kinds_of(query.product, query.view)
    days, before = await choose_range(session, query, today)
    before = before if with_previous else None
    version = version or await select_usage_version(session)
    named = await names.read(session, version, query.product, kinds)
    agents = await names.read_agents(session, version, query.view)
    view = named.view(TreeKey(query.view, query.categories, query.group_by == "surface"), today, agents)
    series, stretch = named.series.of_surfaces(query.surface), extend_to_months(query, days)
    chosen = await choose_spans(
        session, query, today, stretch, before, list(series.by_id), with_agents=query.view in WITH_AGENTS
    )
    if chosen and not chosen.shows_previous:
        before = None
    ranges = [before, stretch] if before else [stretch]
    # One sum for features whose category does not change; one per range between changes for the others.
    changes = view.features.changing(ranges[0].first, stretch.last) if view.has_categories else set()
    changing, constant = series.divide(changes)
    parts = [part for whole in ranges for part in split_at(whole, view.features.changes())] if changing.by_id else []
    return TableUsage(
        days, before, stretch.first, named, view, constant, changing,
        await sum_usage(session, constant, ranges, chosen),
        await sum_usage(session, changing, parts, chosen), chosen,
    )  # fmt: skip


async def sum_usage(
    session: ReadSession, series: PickedSeries, stretches: Sequence[Days], chosen: Chosen | None
) -> dict[date, SeriesColumns]:
    """Usage of the series, and possibly of others, by the first day of each range."""
    if chosen is None:
        return await sum_series_usage(session, series, stretches)
    return await sum_selected_series(session, chosen.spans, stretches) if series.by_id else {}


def to_leaves(columns: SeriesColumns, leaves: Mapping[int, int]) -> LeafUsage:
    """The columns with leaves instead of series; None for other series of the organization."""
    return LeafUsage(list(map(leaves.get, columns.series_ids)), columns.credits, columns.events)


async def sum_product_credits(
    session: ReadSession, days: Days, surfaces: Collection[str] | None, chosen: Chosen | None
) -> dict[str, int]:
    """Micro-credits of all products; `surfaces` None: all surfaces. Empty if they could be about too few people."""
    if chosen is not None and chosen.needs_five:
        return {}
    if surfaces is None and chosen is None:
        [used] = await sum_products(session, days)
        return used
    used = dict.fromkeys(PRODUCTS, 0)
    series = (await select_series(session, PRODUCTS, get_args(FeatureKind))).of_surfaces(surfaces)
    if chosen is not None:
        for columns in (await sum_selected_series(session, chosen.spans, [days])).values():
            for series_id, credits in zip(columns.series_ids, columns.credits, strict=True):
                if series_id in series.by_id:
                    used[series.by_id[series_id].product] += credits
        return used
    groups = {series_id: PRODUCTS.index(one.product) for series_id, one in series.by_id.items()}
    for _, number, credits, _ in await sum_groups(session, series, groups, [days]):
        used[PRODUCTS[number]] = credits
    return used
