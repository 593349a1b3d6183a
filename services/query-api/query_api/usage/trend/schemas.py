"""Request and response of the trend."""

from dataclasses import dataclass
from typing import Annotated

from flexcredits_schemas.events import Product
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from query_api.attributions.schemas import WhoQuery
from query_api.contracts.range import RangeQuery
from query_api.http.fields import CompleteTo, CreditsText, DateRange, InstantText, TimeZone
from query_api.usage.domain.catalog import Categories, View
from query_api.usage.trend.domain.buckets import LIMIT_DAYS, BucketState, Interval
from query_api.usage.trend.domain.lines import GroupBy, GroupKind


class TrendQuery(RangeQuery, WhoQuery):
    product: Product | None = Field(None, description="By default all products.")
    view: View | None = Field(None, description="Only usage that this view of the product shows.")
    interval: Interval | None = Field(
        None,
        description=", ".join(f"{interval}: up to {limit:,} days" for interval, limit in LIMIT_DAYS.items())
        + ". Intervals below a day only while quarters of an hour are kept; with actor, group or label only if the organization "
        "has up to 200,000 events on these days that name an actor, a group or labels. If it shows groups only: up to 20,000 in "
        "the months of the range, and each hour of them must be of five people. The default depends on the length of the range; "
        "it is a day or longer with actor, group or label.",
    )
    group_by: GroupBy = "product"
    surface: list[str] | SkipJsonSchema[None] = Field(
        None, description="Only usage of these surfaces; may be repeated. Empty text: usage without a surface."
    )
    categories: Categories = Field(
        "then", description="then: categories at the time of usage. now: today's categories for all usage."
    )
    top: int = Field(10, ge=1, le=100, description="Number of groups with a series of their own.")


@dataclass(slots=True)  # not frozen, because creating a frozen one takes three times as long
class TrendBucket:
    """A part of the range, half-open. Instants have the UTC offset of the organization's time zone."""

    start_at: InstantText
    end_at: InstantText
    days: Annotated[DateRange | None, Field(description="Its days. null if it is shorter than a day.")]
    state: Annotated[
        BucketState,
        Field(
            description="complete: all events received for it are counted; zero means no usage. partial: it has not ended, or "
            "data is delayed. missing: it has begun, but there is no data yet. future: it has not begun."
        ),
    ]
    total: CreditsText
    events: int


@dataclass(frozen=True, slots=True)
class TrendSeries:
    """A line of the chart: one value for each bucket, 0 without usage."""

    key: Annotated[str, Field(description="Unique in the response, and stable for this `group_by`.")]
    name: str
    kind: Annotated[
        GroupKind,
        Field(
            description="With `group_by=category`, each feature without a category is a line. no_agent: usage without an "
            "agent, of products other than agents. other: the sum of all groups beyond `top`, and of "
            "features, agents or surfaces beyond the organization's limit of new ones in a month."
        ),
    ]
    product: Annotated[Product | None, Field(description="null if the line may contain usage of several products.")]
    total: CreditsText
    credits: list[CreditsText]
    events: list[int]


@dataclass(frozen=True, slots=True)
class Trend:
    """Usage over time. Buckets and series each add up exactly to the total, which equals the breakdown's."""

    product: Product | None
    range: DateRange
    time_zone: TimeZone
    interval: Interval
    group_by: GroupBy
    total: CreditsText
    events: int
    buckets: Annotated[list[TrendBucket], Field(description="The whole range, in order, without gaps.")]
    series: Annotated[
        list[TrendSeries],
        Field(description="Highest total first, `other` last. With `group_by=product`, all requested products."),
    ]
    complete_to: CompleteTo
