"""Computes a trend: its interval, and sums by bucket and group."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from typing import get_args

from flexcredits_schemas.events import FeatureKind, Product

from query_api.attributions.cells import Split
from query_api.attributions.hours import sum_quarters_of_some
from query_api.attributions.usage import choose_spans
from query_api.calendar import Days, split_at, today_in, with_whole_months
from query_api.contracts.range import extend_to_months
from query_api.db.session import ReadSession
from query_api.http.problems import invalid_parameter
from query_api.turns import in_parts
from query_api.usage.domain.catalog import Features
from query_api.usage.queries import (
    first_whole_day,
    select_agents,
    select_features,
    select_series,
    sum_groups,
    sum_quarters,
    sum_selected_series,
)
from query_api.usage.trend.domain.buckets import (
    LIMIT_DAYS,
    WITHIN_DAYS,
    YEARS,
    Bucket,
    Interval,
    cut_buckets,
    default_interval,
)
from query_api.usage.trend.domain.lines import OTHER_GROUPS, Cell, Group, first_groups, group_key, group_of
from query_api.usage.trend.schemas import TrendQuery
from query_api.usage.views import kinds_of

CELLS_MAX = 20_000
"""Groups times buckets. Each agent or feature on each day of three years would be millions."""
BEYOND = -1
"""The number of all groups beyond the first ones."""

ALL_FEATURE_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)


async def choose_interval(session: ReadSession, query: TrendQuery, days: Days) -> Interval:
    """The requested interval, or a default for the range. Raises ApiProblem if the range does not allow it."""
    if days.first.year not in YEARS or days.last.year not in YEARS:
        raise invalid_parameter("from", f"must be within the years {YEARS[0]} to {YEARS[-1]}")
    wanted = query.interval
    interval = wanted or default_interval(days)
    if wanted is None and query.names_who and interval in WITHIN_DAYS:
        return "day"
    length, limit = (days.last - days.first).days + 1, LIMIT_DAYS[interval]
    if length > limit:
        raise invalid_parameter("interval", f"`{interval}` allows up to {limit:,} days, but the range has {length:,}")
    if interval in WITHIN_DAYS:
        kept_from, _ = await first_whole_day(session)
        if days.first < kept_from:
            if wanted is None:
                return "day"
            detail = f"quarters of an hour are kept since {kept_from}; use `day` or longer for earlier dates"
            raise invalid_parameter("interval", detail)
    return interval


def choose_kinds(query: TrendQuery) -> tuple[FeatureKind, ...]:
    """The selected kinds of feature. Raises ApiProblem."""
    if query.view is None:
        return ALL_FEATURE_KINDS
    if query.product is None:
        raise invalid_parameter("view", "needs a `product`")
    return kinds_of(query.product, query.view)


def split_of_chart(query: TrendQuery, *, by_day: bool) -> Split:
    """By what the chart divides usage."""
    names = {"category": ["product", "feature_kind", "feature"], "feature": ["product", "feature_kind", "feature"]}
    given = {"product": query.product, "feature_kind": query.view, "surface": query.surface}
    dimensions = {name for name, value in given.items() if value is not None}
    return Split(frozenset({*dimensions, *names.get(query.group_by, [query.group_by])}), by_day)


async def read_cells(
    session: ReadSession,
    query: TrendQuery,
    products: Sequence[Product],
    kinds: Sequence[FeatureKind],
    interval: Interval,
    buckets: Sequence[Bucket],
    days: Days,
    today: date,
) -> list[Cell]:
    """Usage by bucket and group. If there are too many cells, groups beyond `top` are one."""
    group_by, firsts = query.group_by, [bucket.days.first for bucket in buckets if bucket.days]
    features: dict[Product, Features] = {}
    if group_by in ("category", "feature"):
        for product in products:
            entries = await select_features(session, product, kinds)
            features[product] = Features(entries, today, query.categories)
    agents = await select_agents(session) if group_by == "agent" else {}
    series = (await select_series(session, products, kinds)).of_surfaces(query.surface)
    # Postgres sums the series of a group; `one_of` has any one series of it, to find its name.
    numbers: dict[tuple[object, ...], int] = {}
    groups = dict[int, int]()
    async for some in in_parts([*series.by_id.items()]):
        groups |= {key: numbers.setdefault(group_key(group_by, one), len(numbers)) for key, one in some}
    one_of = {number: series.by_id[key] for key, number in groups.items()}
    group_on = cache(lambda number, day: group_of(group_by, one_of[number], day, features, agents))
    if firsts:
        changes = {day for names in features.values() for day in names.changes()} if group_by == "category" else set()
        whole = extend_to_months(query, days)
        stretches = split_at(whole, sorted({*firsts[1:], *changes}))
        split = split_of_chart(query, by_day=interval != "month")
        chosen = await choose_spans(session, query, today, whole, None, list(series.by_id), split=split)
        if chosen is None:
            if not changes and len(numbers) * len(stretches) > CELLS_MAX:
                totals = {
                    number: credits for _, number, credits, _ in await sum_groups(session, series, groups, [whole])
                }
                groups = keep_first(groups, totals, lambda number: group_on(number, whole.first), query.top)
            by_group = await sum_groups(session, series, groups, stretches)
        else:
            by_group = [
                (day, groups[series_id], credits, events)
                for day, columns in (await sum_selected_series(session, chosen.spans, stretches)).items()
                for series_id, credits, events in columns.rows()
                if series_id in groups
            ]
        sums = [
            (max(0, bisect_right(firsts, day) - 1), day, number, credits, events)
            for day, number, credits, events in by_group
        ]
    else:
        starts = starts_of(buckets)
        in_days = [today_in(session.organization.time_zone, at) for at in starts]
        split = split_of_chart(query, by_day=True)
        hours: Sequence[datetime] = ()
        if query.names_who and session.organization.people == "groups_only":
            months, zone = with_whole_months(days), session.organization.time_zone
            split = split._replace(starts=starts_of(cut_buckets(months, interval, zone)))
            hours = starts_of(cut_buckets(months, "hour", zone)) if interval == "15m" else ()
        chosen = await choose_spans(session, query, today, days, None, list(series.by_id), split=split, hours=hours)
        if chosen is None:
            if group_by != "category" and len(numbers) * len(starts) > CELLS_MAX:
                in_all = await sum_quarters(session, groups, starts[:1], buckets[-1].end_at)
                totals = {number: credits for _, number, credits, _ in in_all}
                groups = keep_first(groups, totals, lambda number: group_on(number, in_days[0]), query.top)
            by_quarter = await sum_quarters(session, groups, starts, buckets[-1].end_at)
        else:
            by_quarter = await sum_quarters_of_some(session, chosen.spans, days, groups, starts)
        sums = [(place, in_days[place], number, credits, events) for place, number, credits, events in by_quarter]
    return [
        Cell(place, OTHER_GROUPS if number == BEYOND else group_on(number, day), credits, events)
        for place, day, number, credits, events in sums
    ]


def starts_of(buckets: Sequence[Bucket]) -> list[datetime]:
    return [bucket.start_at for bucket in buckets]


def keep_first(
    groups: Mapping[int, int], totals: Mapping[int, int], group_of_number: Callable[[int], Group], top: int
) -> dict[int, int]:
    """The group numbers of series, with the number BEYOND for all groups with usage that are not among the `top` ones."""
    of_number = {number: group_of_number(number) for number in totals}
    by_key = Counter[str]()
    for number, credits in totals.items():
        by_key[of_number[number].key] += credits
    first = {group.key for group in first_groups({*of_number.values()}, by_key, top)}
    kept = {number for number, group in of_number.items() if group.key in first}
    return {series_id: number if number in kept else BEYOND for series_id, number in groups.items()}
