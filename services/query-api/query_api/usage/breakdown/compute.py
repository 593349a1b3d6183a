"""Computes the breakdown, for its route and for files."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import NamedTuple, get_args

from flexcredits_schemas.events import PRODUCTS, FeatureKind

from query_api.attributions.cells import Split
from query_api.attributions.usage import Chosen, choose_spans
from query_api.calendar import Days, by_grain, month_of, split_at
from query_api.contracts.range import choose_range, extend_to_months
from query_api.db.cache import VersionedCache
from query_api.db.session import ReadSession
from query_api.usage.breakdown.domain.tree import WITH_AGENTS, LeafUsage, Row
from query_api.usage.breakdown.names import NamedView, Names, ProductNames, TreeKey
from query_api.usage.breakdown.schemas import BreakdownQuery
from query_api.usage.domain.series import PickedSeries, SeriesColumns
from query_api.usage.product_days import sum_products
from query_api.usage.queries import select_series, sum_groups, sum_selected_series, sum_series_usage
from query_api.usage.versions import UsageVersion
from query_api.usage.views import kinds_of

NO_USAGE = SeriesColumns.of([], [], [])


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
    series: PickedSeries
    sums: Sequence[tuple[date, SeriesColumns]]
    """With the first day of each part of a range, in which no category of its series changes."""
    chosen: Chosen | None
    """Attributions that the request selects; None without such a filter."""

    @property
    def size(self) -> int:
        """For turns.compute(): the same for all requests that share the view."""
        return len(self.names.series.by_id)

    @property
    def version(self) -> tuple[object, ...]:
        """While it is equal, so are the rows. Columns have the same token only if they come from the cache."""
        parts = tuple((first, columns.token) for first, columns in self.sums)
        return self.days, self.days_before, self.view.token, parts

    def compute(self) -> BreakdownTable:
        """Agents have their current name and status. Adds to the view's tree, so it must run in compute() only."""
        usage: tuple[list[LeafUsage], list[LeafUsage]] = ([], [])  # in the range, and in the range before
        for first, columns in self.sums:
            leaves = self.view.leaves(self.names.series.by_id, first)
            if self.series is not self.names.series:
                leaves = leaves.only(self.series)
            usage[first < self.first].append(leaves.of(columns))
        return BreakdownTable(self.days, self.days_before, self.view.tree.rows(*usage))


def split_of_table(query: BreakdownQuery) -> Split:
    """By what the table divides usage."""
    dimensions = {"product", "feature_kind", "agent" if query.view == "agents" else "feature"}
    if query.view in WITH_AGENTS:
        dimensions.add("agent")
    if query.surface is not None or query.group_by == "surface":
        dimensions.add("surface")
    return Split(frozenset(dimensions))


async def read_breakdown(
    session: ReadSession, names: Names, cache: VersionedCache, query: BreakdownQuery, today: date, version: UsageVersion,
    *, with_previous: bool = True,
) -> TableUsage:  # fmt: skip
    """Read a product's usage. `version` is that of the session's snapshot. Raises ApiProblem."""
    kinds = kinds_of(query.product, query.view)
    days, before = await choose_range(session, query, today)
    before = before if with_previous else None
    named = await names.read(session, version, query.product, kinds)
    agents = await names.read_agents(session, version, query.view)
    view = named.view(TreeKey(query.view, query.categories, query.group_by == "surface"), today, agents)
    series, stretch = named.series.of_surfaces(query.surface), extend_to_months(query, days)
    chosen = await choose_spans(session, query, today, stretch, before, list(series.by_id), split=split_of_table(query))
    if chosen and not chosen.shows_previous:
        before = None
    ranges = [before, stretch] if before else [stretch]
    if chosen is None:
        sums = await read_sums(session, cache, version, named, view, series, ranges)
    elif series.by_id:
        changes = view.features.changes() if view.has_categories else []
        parts = [part for whole in ranges for part in split_at(whole, changes)]
        sums = [*(await sum_selected_series(session, chosen.spans, parts)).items()]
    else:
        sums = []
    return TableUsage(days, before, stretch.first, named, view, series, sums, chosen)


async def read_sums(
    session: ReadSession, cache: VersionedCache, version: UsageVersion, names: ProductNames, view: NamedView,
    series: PickedSeries, ranges: Sequence[Days],
) -> list[tuple[date, SeriesColumns]]:  # fmt: skip
    """Usage of the series in the months of the ranges, and in the days before and after whole months.

    May contain further series of `names`, or of the organization.
    """
    if not series.by_id:
        return []
    changes = view.features.changes() if view.has_categories else []
    stretches = list[Days]()
    for before, whole, after in map(by_grain, ranges):
        stretches += map(month_of, version.months_in(whole) if whole else ())
        stretches += [piece for part in (before, after) if part for piece in split_at(part, changes)]
    sums: list[tuple[date, SeriesColumns]] = []
    for days, columns in (await read_stretches(session, cache, version, names, stretches)).items():
        if len(split_at(days, changes)) == 1:
            sums.append((days.first, columns))
        else:
            sums += await split_month(session, cache, version, names, view, days, columns)
    return sums


async def read_stretches(
    session: ReadSession, cache: VersionedCache, version: UsageVersion, names: ProductNames, stretches: Sequence[Days]
) -> dict[Days, SeriesColumns]:
    """Usage of all series of `names` in ranges that share no day. It is not read again unless a month of the range changed."""
    found, changed = dict[Days, SeriesColumns](), dict[date, Days]()
    for days in stretches:
        kept: SeriesColumns | None = cache.get(*key_of("series", session, version, names, days))
        if kept:
            found[days] = kept
        else:
            changed[days.first] = days
    if changed:
        read = await sum_series_usage(session, names.series, [*changed.values()])
        for first, days in changed.items():
            own = found[days] = read.get(first, NO_USAGE).only(names.series.by_id)
            cache.put(*key_of("series", session, version, names, days), own, own.size)
    return found


async def split_month(
    session: ReadSession, cache: VersionedCache, version: UsageVersion, names: ProductNames, view: NamedView, month: Days,
    columns: SeriesColumns,
) -> list[tuple[date, SeriesColumns]]:  # fmt: skip
    """Split the usage of a month into that of features whose category does not change within it, and the days between changes
    of the others."""
    key, its_version = key_of("split months", session, version, names, month)
    kept: list[tuple[date, SeriesColumns]] | None = cache.get(key, (*its_version, view.token))
    if kept is None:
        changing, constant = names.series.divide(view.features.changing(*month))
        pieces = await sum_series_usage(session, changing, split_at(month, view.features.changes()))
        kept = [(month.first, columns.only(constant.by_id))]
        kept += [(first, piece.only(changing.by_id)) for first, piece in pieces.items()]
        cache.put(key, (*its_version, view.token), kept, sum(one.size for _, one in kept))
    return kept


def key_of(
    kind: str, session: ReadSession, version: UsageVersion, names: ProductNames, days: Days
) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """Key and version of a product's usage in the cache."""
    months = [(month, version.of_month(month, names.product)) for month in version.months_in(days)]
    return (kind, session.organization_id, names.product, names.kinds, days), tuple(months)


async def sum_product_credits(
    session: ReadSession, cache: VersionedCache, version: UsageVersion, days: Days, surfaces: Collection[str] | None,
    chosen: Chosen | None,
) -> dict[str, int]:  # fmt: skip
    """Micro-credits of all products; `surfaces` None: all surfaces. Empty if they could be about too few people."""
    if chosen is not None and chosen.needs_five:
        return {}
    if surfaces is None and chosen is None:
        [used] = await sum_products(session, cache, version, days)
        return used
    used = dict.fromkeys(PRODUCTS, 0)
    series = (await select_series(session, PRODUCTS, get_args(FeatureKind))).of_surfaces(surfaces)
    if chosen is not None:
        for columns in (await sum_selected_series(session, chosen.spans, [days])).values():
            for series_id, credits, _ in columns.rows():
                if series_id in series.by_id:
                    used[series.by_id[series_id].product] += credits
        return used
    groups = {series_id: PRODUCTS.index(one.product) for series_id, one in series.by_id.items()}
    for _, number, credits, _ in await sum_groups(session, series, groups, [days]):
        used[PRODUCTS[number]] = credits
    return used
