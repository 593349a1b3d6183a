"""GET /api/v1/trend: usage over time, in buckets of the organization's zone and by whatever drives it."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime, tzinfo
from functools import cache
from typing import Annotated, get_args

from fastapi import APIRouter, Query, Request
from flexcredits_schemas.events import PRODUCTS, FeatureKind, Product
from flexcredits_schemas.zones import zone_of
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from query_api.access.dependencies import Look, parts_of
from query_api.contracts.domain.periods import Days, split_at, today_in, with_whole_months
from query_api.contracts.range import RangeQuery, choose_days, first_whole_day, invalid_parameter
from query_api.db.session import Reading
from query_api.http.fields import DateRange
from query_api.usage.breakdown.domain.rows import Categories, Features, View
from query_api.usage.breakdown.routes import kinds_of
from query_api.usage.breakdown.schemas import Trend, TrendBucket, TrendSeries
from query_api.usage.trend.domain.buckets import (
    LIMIT_DAYS,
    WITHIN_DAYS,
    YEARS,
    Bucket,
    Interval,
    bucket_state,
    cut_buckets,
    default_interval,
    drawable_days,
)
from query_api.usage.trend.domain.lines import PRODUCT_GROUPS, Cell, GroupBy, draw_lines, group_of, tell_apart

router = APIRouter(prefix="/api/v1")

FEATURE_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)


class TrendQuery(RangeQuery):
    product: Product | None = Field(None, description="By default all.")
    view: View | None = Field(None, description="Only what this view of the product's table shows.")
    interval: Interval | None = Field(
        None,
        description=", ".join(f"{interval}: up to {limit:,} days" for interval, limit in LIMIT_DAYS.items())
        + ". Parts of a day only as long as quarters of an hour are kept. By default as the range is long.",
    )
    group_by: GroupBy = "product"
    surface: list[str] | SkipJsonSchema[None] = Field(
        None, description="Only usage of these surfaces; may be given several times. Empty: usage that named none."
    )
    categories: Categories = Field("then", description="Those in force when it was used, or today's for all usage.")
    top: int = Field(10, ge=1, le=100, description="How many groups have a series of their own.")


@router.get("/trend")
async def get_trend(request: Request, reading: Look, query: Annotated[TrendQuery, Query()]) -> Trend:
    """Usage over time. Zero is told apart from data that has not come yet.

    Of a credit period without an end, `range` is its days to the end of this month.
    """
    parts, organization = parts_of(request), reading.organization
    now = parts.now()
    today = today_in(organization.time_zone, now)
    days = await choose_days(reading, query, today)
    if query.from_ is None:
        days = drawable_days(days, today)
    interval = await choose_interval(reading, query.interval, days)
    buckets = cut_buckets(days, interval, organization.time_zone)
    products = (query.product,) if query.product else PRODUCTS
    kinds = choose_kinds(query)
    cells = await read_cells(reading, query, products, kinds, buckets, days, today)
    always = [PRODUCT_GROUPS[product] for product in products] if query.group_by == "product" else []
    lines = draw_lines(cells, len(buckets), query.top, always)
    watermark = await reading.select_watermark(parts.topic)
    zone = zone_of(organization.time_zone)
    return Trend(
        product=query.product,
        range=DateRange(from_=days.first, to=days.last),
        time_zone=organization.time_zone,
        interval=interval,
        group_by=query.group_by,
        total=sum(cell.credits for cell in cells),
        events=sum(cell.events for cell in cells),
        buckets=[
            answer_bucket(
                bucket, zone, now, watermark.complete_to, [(line.credits[n], line.events[n]) for line in lines]
            )
            for n, bucket in enumerate(buckets)
        ],
        series=[
            TrendSeries(group.key, group.name, group.kind, group.product, sum(credits), credits, events)
            for group, credits, events in lines
        ],
        complete_to=watermark.complete_to,
    )


def answer_bucket(
    bucket: Bucket, zone: tzinfo, now: datetime, complete_to: datetime | None, values: Sequence[tuple[int, int]]
) -> TrendBucket:
    """`values` are the bucket's credits and events of each line."""
    return TrendBucket(
        start_at=bucket.start_at.astimezone(zone),
        end_at=bucket.end_at.astimezone(zone),
        days=DateRange(from_=bucket.days.first, to=bucket.days.last) if bucket.days else None,
        state=bucket_state(bucket, now, complete_to, any(credits or events for credits, events in values)),
        total=sum(credits for credits, _ in values),
        events=sum(events for _, events in values),
    )


async def choose_interval(reading: Reading, wanted: Interval | None, days: Days) -> Interval:
    """The interval that was asked for, or one that suits the range. Raises Refused where the range does not allow it."""
    if days.first.year not in YEARS or days.last.year not in YEARS:
        raise invalid_parameter("from", f"no usage lies outside of the years {YEARS[0]} to {YEARS[-1]}")
    interval = wanted or default_interval(days)
    length, limit = (days.last - days.first).days + 1, LIMIT_DAYS[interval]
    if length > limit:
        raise invalid_parameter("interval", f"`{interval}` is for up to {limit:,} days, and the range has {length:,}")
    if interval in WITHIN_DAYS:
        kept_from, _ = await first_whole_day(reading)
        if days.first < kept_from:
            if wanted is None:
                return "day"
            detail = f"quarters of an hour are kept since {kept_from}; `day` and longer ones are there for all time"
            raise invalid_parameter("interval", detail)
    return interval


def choose_kinds(query: TrendQuery) -> tuple[FeatureKind, ...]:
    """The kinds of feature that count. Raises Refused."""
    if query.view is None:
        return FEATURE_KINDS
    if query.product is None:
        raise invalid_parameter("view", "is a view of a product's table: give `product` too")
    return kinds_of(query.product, query.view)


async def read_cells(
    reading: Reading,
    query: TrendQuery,
    products: Sequence[Product],
    kinds: Sequence[FeatureKind],
    buckets: Sequence[Bucket],
    days: Days,
    today: date,
) -> list[Cell]:
    """What was used, by bucket and group."""
    group_by, firsts = query.group_by, [bucket.days.first for bucket in buckets if bucket.days]
    if group_by == "product" and query.surface is None and query.view is None and firsts:
        return [
            Cell(bisect_right(firsts, day) - 1, PRODUCT_GROUPS[product], credits, events)
            for day, product, credits, events in await reading.sum_product_days(products, days)
        ]
    features: dict[Product, Features] = {}
    if group_by in ("category", "feature"):
        for product in products:
            facts = await reading.select_features(product, kinds)
            features[product] = Features(facts, today, query.categories)
    agents = await reading.select_agents() if group_by == "agent" else {}
    series = (await reading.select_series(products, kinds)).of_surfaces(query.surface)
    # Series that need not be told apart are added up in Postgres; any one of them stands for all.
    numbers: dict[tuple[object, ...], int] = {}
    groups = {key: numbers.setdefault(tell_apart(group_by, one), len(numbers)) for key, one in series.by_id.items()}
    one_of = {number: series.by_id[key] for key, number in groups.items()}
    if firsts:
        changes = {day for names in features.values() for day in names.changes()} if group_by == "category" else set()
        # Nothing was used outside of all time, so that its first and last month can be read whole.
        to_read = with_whole_months(days) if query.range == "all" else days
        stretches = split_at(to_read, sorted({*firsts[1:], *changes}))
        sums = [
            (max(0, bisect_right(firsts, day) - 1), day, number, credits, events)
            for day, number, credits, events in await reading.sum_groups(series, groups, stretches)
        ]
    else:
        starts = [bucket.start_at for bucket in buckets]
        in_days = [today_in(reading.organization.time_zone, at) for at in starts]
        sums = [
            (place, in_days[place], number, credits, events)
            for place, number, credits, events in await reading.sum_quarters(groups, starts, buckets[-1].end_at)
        ]
    group_on = cache(lambda number, day: group_of(group_by, one_of[number], day, features, agents))
    return [Cell(place, group_on(number, day), credits, events) for place, day, number, credits, events in sums]
