"""GET /api/v1/trend: usage over time, in buckets of the organization's time zone and by group."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Annotated

from fastapi import APIRouter, Query, Request
from flexcredits_schemas.events import PRODUCTS
from flexcredits_schemas.zones import zone_of

from query_api.access.dependencies import ReadAccess
from query_api.access.state import app_state
from query_api.calendar import today_in
from query_api.contracts.range import choose_days
from query_api.freshness.queries import select_watermark
from query_api.http.fields import DateRange
from query_api.usage.trend.compute import choose_interval, choose_kinds, read_cells
from query_api.usage.trend.domain.buckets import Bucket, bucket_state, cut_buckets, drawable_days
from query_api.usage.trend.domain.lines import PRODUCT_GROUPS, draw_lines
from query_api.usage.trend.schemas import Trend, TrendBucket, TrendQuery, TrendSeries

router = APIRouter(prefix="/api/v1")


@router.get("/trend")
async def get_trend(request: Request, session: ReadAccess, query: Annotated[TrendQuery, Query()]) -> Trend:
    """Usage over time. `state` distinguishes zero from missing data.

    For a credit period without an end, `range` ends with this month.
    """
    app, organization = app_state(request), session.organization
    now = app.now()
    today = today_in(organization.time_zone, now)
    days = await choose_days(session, query, today)
    if query.from_ is None:
        days = drawable_days(days, today)
    interval = await choose_interval(session, query.interval, days)
    buckets = cut_buckets(days, interval, organization.time_zone)
    products = (query.product,) if query.product else PRODUCTS
    kinds = choose_kinds(query)
    cells = await read_cells(session, query, products, kinds, buckets, days, today)
    always = [PRODUCT_GROUPS[product] for product in products] if query.group_by == "product" else []
    lines = draw_lines(cells, len(buckets), query.top, always)
    watermark = await select_watermark(session, app.topic)
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
    """`values` are credits and events of each line in this bucket."""
    return TrendBucket(
        start_at=bucket.start_at.astimezone(zone),
        end_at=bucket.end_at.astimezone(zone),
        days=DateRange(from_=bucket.days.first, to=bucket.days.last) if bucket.days else None,
        state=bucket_state(bucket, now, complete_to, any(credits or events for credits, events in values)),
        total=sum(credits for credits, _ in values),
        events=sum(events for _, events in values),
    )
