"""Reads the usage of two ranges, and explains the change."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from flexcredits_schemas.events import PRODUCTS, FeatureKind, Product

from query_api.attributions.book import Books
from query_api.attributions.cells import Split
from query_api.attributions.selection import too_few_people
from query_api.attributions.usage import Chosen, choose_spans
from query_api.calendar import Days
from query_api.db.cache import VersionedCache
from query_api.db.session import ReadSession
from query_api.explain.domain.decompose import NO_PEOPLE, LateUses, decompose
from query_api.explain.domain.items import UNSAVED, FeatureKey, ItemKey, Part, PartKind, Usage
from query_api.explain.domain.prices import PriceChange
from query_api.explain.list_prices import read_prices
from query_api.explain.people import read_people
from query_api.explain.ranges import Compared, choose_ranges
from query_api.explain.reads import RangeUsage, read_range
from query_api.explain.schemas import ExplainQuery
from query_api.http.problems import invalid_parameter
from query_api.people.compute import filter_series
from query_api.turns import compute
from query_api.usage.breakdown.names import Names, ProductNames
from query_api.usage.domain.catalog import FEATURE_KINDS, Agent, agent_as_now
from query_api.usage.domain.series import PickedSeries, Series, SeriesColumns
from query_api.usage.queries import sum_selected_series, sum_series_usage
from query_api.usage.versions import UsageVersion
from query_api.usage.views import kinds_of

KINDS_OF: Mapping[Product, tuple[FeatureKind, ...]] = {
    product: tuple(dict.fromkeys(kind for (of, _), kinds in FEATURE_KINDS.items() if of == product for kind in kinds))
    for product in PRODUCTS
}
"""All kinds of feature of each product."""


class Explained(NamedTuple):
    """The change in parts, in micro-credits."""

    compared: Compared
    before: dict[ItemKey, Usage]
    now: dict[ItemKey, Usage]
    parts: Mapping[PartKind, Part]
    unpriced: Sequence[FeatureKey]
    unknown: frozenset[PartKind]
    """Parts that cannot be computed under the request's filters."""
    names: Sequence[ProductNames]
    agents: Mapping[str, Agent]

    @property
    def totals(self) -> tuple[Usage, Usage]:
        """Of the earlier and of the later range."""
        totals = (Usage(), Usage())
        for total, items in zip(totals, (self.before, self.now), strict=True):
            for usage in items.values():
                total.add(usage.credits, usage.uses)
        return totals


class Selected(NamedTuple):
    """The series of a request, and the attributions that it selects (None: all usage)."""

    series: PickedSeries
    chosen: Chosen | None

    async def read(self, session: ReadSession, cache: VersionedCache, version: UsageVersion, days: Days) -> RangeUsage:
        """Usage of the selected attributions has neither corrections nor late uses of its own."""
        if self.chosen is None:
            return await read_range(session, cache, version, self.series, days)
        columns = await sum_selected_series(session, self.chosen.spans, [days])
        return RangeUsage(columns.get(days.first), {}, {})

    async def sum(
        self, session: ReadSession, series: PickedSeries, stretches: Sequence[Days]
    ) -> dict[date, SeriesColumns]:
        """Usage by the first day of each range. May contain further series."""
        if self.chosen is None:
            return await sum_series_usage(session, series, stretches)
        return await sum_selected_series(session, self.chosen.spans, stretches)


async def read_explanation(
    session: ReadSession, names: Names, books: Books, cache: VersionedCache, query: ExplainQuery, today: date, now: datetime,
    version: UsageVersion,
) -> Explained:  # fmt: skip
    """Raises ApiProblem."""
    compared = await choose_ranges(session, query, today)
    named = [await names.read(session, version, product, kinds) for product, kinds in choose_kinds(query)]
    agents = await names.read_agents(session, version, "agents")
    selected = await select_series(session, query, named, compared, today)
    keys = await compute(session.organization_id, len(selected.series.by_id), find_keys, selected.series.by_id, agents)
    ranges = [await selected.read(session, cache, version, days) for days in compared]
    before, after = [await compute(session.organization_id, len(keys), add_up, usage, keys) for usage in ranges]
    unknown = set[PartKind]()
    is_filtered = (query.view, query.surface, query.agent, query.feature) != (None, None, None, None)
    if selected.chosen is not None:
        unknown.add("corrections")
    late = None
    if selected.chosen is None and not is_filtered:
        late = pair_late(*ranges)
    else:
        unknown.add("late")
    prices, unpriced = dict[FeatureKey, PriceChange](), list[FeatureKey]()
    if selected.chosen is not None and selected.chosen.needs_five:
        unknown.add("rate")  # average prices would say how much was used before and after a change
    else:
        prices, unpriced = await read_prices(session, selected.series, selected.sum, compared, now)
    people = None
    if query.people and selected.chosen is None:
        everything = not is_filtered and query.product is None
        people = await read_people(session, books, compared, keys, None if everything else sorted(keys), today)
    if people is None:
        unknown |= {"new_people", "gone_people"}
    parts = await compute(
        session.organization_id,
        len(keys),
        decompose,
        before,
        after,
        compared.lengths,
        prices=prices,
        late=late,
        people=people or NO_PEOPLE,
    )
    return Explained(compared, before, after, parts, unpriced, frozenset(unknown), named, agents)


def add_up(usage: RangeUsage, keys: Mapping[int, ItemKey]) -> dict[ItemKey, Usage]:
    used: dict[ItemKey, Usage] = {}
    for number, credits, uses in usage.columns.rows() if usage.columns else ():
        if key := keys.get(number):
            used.setdefault(key, Usage()).add(credits, uses)
    for number, credits in usage.corrections.items():
        if key := keys.get(number):
            used.setdefault(key, Usage()).corrections += credits
    return used


def pair_late(before: RangeUsage, after: RangeUsage) -> dict[str, LateUses]:
    products = before.late.keys() | after.late.keys()
    return {product: LateUses(before.late.get(product, 0), after.late.get(product, 0)) for product in products}


def choose_kinds(query: ExplainQuery) -> list[tuple[Product, tuple[FeatureKind, ...]]]:
    """The products of a request, with their kinds of feature. Raises ApiProblem."""
    if query.view is not None:
        if query.product is None:
            raise invalid_parameter("view", "needs a `product`")
        return [(query.product, kinds_of(query.product, query.view))]
    products = (query.product,) if query.product else PRODUCTS
    return [(product, KINDS_OF[product]) for product in products]


async def select_series(
    session: ReadSession, query: ExplainQuery, named: Sequence[ProductNames], compared: Compared, today: date
) -> Selected:
    """Raises ApiProblem, also if a range is about too few people to be shown."""
    every = PickedSeries(
        {number: one for names in named for number, one in names.series.by_id.items()},
        max((names.series.of_all for names in named), default=0),
    )
    ids = filter_series(every, query.surface, query.agent, query.feature)
    series = PickedSeries({number: every.by_id[number] for number in ids}, every.of_all)
    dimensions = {"product", "feature_kind", "feature", "agent"} | ({"surface"} if query.surface is not None else set())
    chosen = await choose_spans(
        session, query, today, compared.now, compared.before, ids, split=Split(frozenset(dimensions))
    )
    if chosen is not None and not chosen.shows_previous:
        raise too_few_people()
    return Selected(series, chosen)


def find_keys(series: Mapping[int, Series], agents: Mapping[str, Agent]) -> dict[int, ItemKey]:
    return {number: key_of(one, agents) for number, one in series.items()}


def key_of(series: Series, agents: Mapping[str, Agent]) -> ItemKey:
    """Unsaved agents are one, because each draft has its own id."""
    agent = series.agent_id
    if agent and agent_as_now(agent, agents).status == "unsaved":
        agent = UNSAVED
    return ItemKey(FeatureKey(series.product, *series.feature), agent)
