"""GET /api/v1/trend: usage over time, in buckets of the organization's time zone and by group."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query, Request, Response
from flexcredits_schemas.credits import decimal_text
from flexcredits_schemas.events import PRODUCTS
from flexcredits_schemas.zones import zone_of

from query_api.access.dependencies import UsageAccess
from query_api.access.state import app_state
from query_api.calendar import Days, today_in
from query_api.contracts.range import choose_days
from query_api.http.answers import answer_json, write_instant
from query_api.http.fields import DateRange, date_range
from query_api.turns import compute
from query_api.usage.product_days import sum_product_buckets
from query_api.usage.trend.compute import choose_interval, choose_kinds, read_cells
from query_api.usage.trend.domain.buckets import Bucket, Interval, bucket_state, cut_buckets, drawable_days
from query_api.usage.trend.domain.lines import PRODUCT_GROUPS, TrendLine, draw_lines, top_lines
from query_api.usage.trend.schemas import Trend, TrendBucket, TrendQuery, TrendSeries
from query_api.usage.versions import select_usage_version

router = APIRouter(prefix="/api/v1")


@router.get("/trend", response_model=Trend)
async def get_trend(request: Request, session: UsageAccess, query: Annotated[TrendQuery, Query()]) -> Response:
    """Usage over time. `state` distinguishes zero from missing data.

    For a credit period without an end, `range` ends with this month.
    """
    app, organization = app_state(request), session.organization
    now = app.now()
    today = today_in(organization.time_zone, now)
    days = await choose_days(session, query, today)
    if query.from_ is None:
        days = drawable_days(days, today)
    interval = await choose_interval(session, query, days)
    frames = frames_of(days, interval, organization.time_zone)
    products = (query.product,) if query.product else PRODUCTS
    kinds = choose_kinds(query)
    version = await select_usage_version(session, app.topic, with_names=False)
    firsts = [frame.bucket.days.first for frame in frames if frame.bucket.days]
    if query.group_by == "product" and query.surface is None and query.view is None and firsts and not query.names_who:
        columns = await sum_product_buckets(session, app.cache, version, firsts, days.last)
        await session.finish()
        drawn = [TrendLine(PRODUCT_GROUPS[product], *columns[product]) for product in products]
        lines = top_lines(drawn, len(frames), query.top)
    else:
        cells = await read_cells(
            session, query, products, kinds, interval, [frame.bucket for frame in frames], days, today
        )
        await session.finish()
        always = [PRODUCT_GROUPS[product] for product in products] if query.group_by == "product" else []
        lines = await compute(session.organization_id, len(cells), draw_lines, cells, len(frames), query.top, always)
    answer = Trend(
        product=query.product,
        range=date_range(*days),
        time_zone=organization.time_zone,
        interval=interval,
        group_by=query.group_by,
        total=decimal_text(sum(sum(line.credits) for line in lines)),
        events=sum(sum(line.events) for line in lines),
        buckets=answer_buckets(frames, lines, now, version.watermark.complete_to),
        series=[
            TrendSeries(
                group.key, group.name, group.kind, group.product, decimal_text(sum(credits)),
                [decimal_text(value) for value in credits], events,
            )
            for group, credits, events in lines
        ],
        complete_to=version.watermark.complete_to,
    )  # fmt: skip
    return answer_json(answer)


class Frame(NamedTuple):
    """A bucket, and the part of its answer that does not depend on usage."""

    bucket: Bucket
    start_at: str
    end_at: str
    days: DateRange | None


@lru_cache(maxsize=64)
def frames_of(days: Days, interval: Interval, time_zone: str | None) -> Sequence[Frame]:
    """The buckets of a range. Kept, because a page asks for the same range again and again."""
    zone = zone_of(time_zone)
    return [
        Frame(
            bucket,
            write_instant(bucket.start_at.astimezone(zone)),
            write_instant(bucket.end_at.astimezone(zone)),
            date_range(*bucket.days) if bucket.days else None,
        )
        for bucket in cut_buckets(days, interval, time_zone)
    ]


def answer_buckets(
    frames: Sequence[Frame], lines: Sequence[TrendLine], now: datetime, complete_to: datetime | None
) -> list[TrendBucket]:
    nothing = [0] * len(frames)  # so that there is a column without any line
    credits = list(map(sum, zip(nothing, *(line.credits for line in lines), strict=True)))
    events = list(map(sum, zip(nothing, *(line.events for line in lines), strict=True)))
    used = map(any, zip(nothing, *(line.credits for line in lines), *(line.events for line in lines), strict=True))
    return [
        TrendBucket(
            frame.start_at,
            frame.end_at,
            frame.days,
            bucket_state(frame.bucket, now, complete_to, is_used),
            decimal_text(total),
            count,
        )
        for frame, total, count, is_used in zip(frames, credits, events, used, strict=True)
    ]
