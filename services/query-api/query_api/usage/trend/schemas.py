"""The request and body of the trend."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from flexcredits_schemas.events import Product
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from query_api.contracts.range import RangeQuery
from query_api.http.fields import Answer, CompleteTo, Credits, DateRange, TimeZone
from query_api.usage.domain.catalog import Categories, View
from query_api.usage.trend.domain.buckets import LIMIT_DAYS, BucketState, Interval
from query_api.usage.trend.domain.lines import GroupBy, GroupKind


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


@dataclass(frozen=True, slots=True)
class TrendBucket:
    """A piece of the range, half-open, with the offsets that the organization's clocks have at its ends."""

    start_at: datetime
    end_at: datetime
    days: Annotated[
        DateRange | None, Field(description="The days that it consists of. null where it is a part of a day.")
    ]
    state: Annotated[
        BucketState,
        Field(
            description="complete: all that was received for it is in, and zero means that nothing was used. partial: more may "
            "come, it has not ended or the data is delayed. missing: it has begun, and no data has come yet. future: it has "
            "not begun."
        ),
    ]
    total: Credits
    events: int


@dataclass(frozen=True, slots=True)
class TrendSeries:
    """A line of the chart: one value for each bucket, 0 where nothing was used."""

    key: Annotated[str, Field(description="Unique in the answer, and the same in every answer of this `group_by`.")]
    name: str
    kind: Annotated[
        GroupKind,
        Field(
            description="With `group_by=category`, a feature without a category is a line of its own. no_agent: usage of "
            "products other than agents that named none. other: the groups beyond `top` together."
        ),
    ]
    product: Annotated[Product | None, Field(description="null where the line may hold several products' usage.")]
    total: Credits
    credits: list[Credits]
    events: list[int]


class Trend(Answer):
    """Usage over time. Buckets and series add up to the total exactly, which is the breakdown's of the same range."""

    product: Product | None
    range: DateRange
    time_zone: TimeZone
    interval: Interval
    group_by: GroupBy
    total: Credits
    events: int
    buckets: list[TrendBucket] = Field(description="The whole range in order, without a gap.")
    series: list[TrendSeries] = Field(
        description="Highest total first, `other` last. With `group_by=product`, every product that was asked for."
    )
    complete_to: CompleteTo
