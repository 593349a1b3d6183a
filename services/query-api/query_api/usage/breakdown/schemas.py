"""Requests and responses of the breakdown and of deleted agents."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from flexcredits_schemas.events import Product
from pydantic import Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from query_api.attributions.schemas import WhoQuery
from query_api.contracts.range import RangeQuery
from query_api.http.fields import (
    CompleteTo,
    Credits,
    CreditsText,
    DateRange,
    ResponseBody,
    Share,
    ShareText,
    TimeZone,
)
from query_api.usage.domain.catalog import Categories, RowKind, View
from query_api.usage.views import SURFACE

ChangeText = Annotated[
    str | None,
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": r"^-?\d+\.\d{6}$"}, {"type": "null"}],
            "examples": ["-0.250000"],
            "description": "Relative change of credits compared with `previous`; 1.000000 is twice as much, negative is less. "
            "null if `previous` is null or zero.",
        },
        mode="serialization",
    ),
]
PreviousText = Annotated[
    CreditsText | None,
    Field(description="Credits in the previous range, under the same filters. null if there is no previous range."),
]


@dataclass(slots=True)  # not frozen, because creating a frozen one takes three times as long
class BreakdownRow:
    """A row of the table. Its child rows, if any, add up to it exactly.

    Includes rows that were used in the previous range only, with zero credits and events.
    """

    kind: Annotated[
        RowKind,
        Field(
            description="other: features, agents or surfaces beyond the organization's limit of new ones in a month."
        ),
    ]
    id: Annotated[str, Field(description="Unique among sibling rows of the same kind.")]
    name: str
    credits: CreditsText
    events: Annotated[int, Field(description="Number of usage events. Corrections change credits only.")]
    share: ShareText
    previous: PreviousText
    change: ChangeText
    rows: "list[BreakdownRow]"


@dataclass(frozen=True, slots=True)
class ProductShare:
    """A product's share of all usage in the range."""

    product: Product
    credits: CreditsText
    share: ShareText


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """A product's usage, highest credits first. The rows of all pages add up to the total exactly."""

    product: Product
    view: View
    range: DateRange
    previous_range: Annotated[
        DateRange | None,
        Field(
            description="The same number of months or dates directly before, or the credit period before. While the range is "
            "running (today is in it, before its last day), only as many days as have begun, so that `change` compares equal "
            "spans. null for all time, and if there is no credit period before."
        ),
    ]
    time_zone: TimeZone
    categories: Categories
    group_by: Literal["surface"] | None
    total: Annotated[
        CreditsText, Field(description="Of the whole range, on every page; so are events, shares and changes.")
    ]
    events: int
    previous: PreviousText
    change: ChangeText
    rows: Annotated[
        list[BreakdownRow],
        Field(
            description="Sorted by credits (highest first), name, id and kind. Empty: no usage. With `group_by=surface`, a row "
            "for each surface contains the view's rows; its id is empty for usage without a surface."
        ),
    ]
    next: Annotated[
        str | None,
        Field(
            description="Pass it as `after`, with the same other parameters, to get the next page. null: last page. Each page is "
            "a separate snapshot; without `limit`, all rows are from one snapshot."
        ),
    ]
    moved: Annotated[
        bool,
        Field(
            description="true: new usage has changed the rows of earlier pages, so this is the first page again; discard the "
            "earlier pages. false: the pages so far contain each row once."
        ),
    ]
    surfaces: Annotated[
        list[str],
        Field(
            description="All surfaces with counted usage in this view, for any range or filter. Empty text: usage "
            "without a surface."
        ),
    ]
    product_shares: Annotated[
        list[ProductShare],
        Field(
            description="All three products, in a fixed order, for the same range and filters. Empty if the organization shows "
            "groups only and the request filters by group or label."
        ),
    ]
    complete_to: CompleteTo


class DeletedAgent(ResponseBody):
    id: str
    name: str = Field(description="Its last name.")
    deleted_at: datetime | None = Field(description="When it was deleted, according to the registry.")
    credits: Credits
    events: int
    share: Share = Field(description="Share of the credits of all deleted agents in the range.")


class DeletedAgents(ResponseBody):
    """The agents in the row "Deleted agents" of the agents' table that were used in the range. With the same filters they add
    up to it."""

    range: DateRange
    time_zone: TimeZone
    total: Credits
    events: int
    agents: list[DeletedAgent] = Field(description="Highest credits first.")
    complete_to: CompleteTo


class BreakdownQuery(RangeQuery, WhoQuery):
    product: Product
    view: View = Field(
        description="assistant: models, tools, other_features. agents: agents, features. api: namespaces."
    )
    surface: list[str] | SkipJsonSchema[None] = Field(None, description=SURFACE)
    group_by: Literal["surface"] | None = None
    categories: Categories = Field(
        "then", description="then: categories at the time of usage. now: today's categories for all usage."
    )
    limit: int | None = Field(
        None, ge=1, le=1000, description="Maximum number of rows at the top level. By default all."
    )
    after: str | None = Field(None, description="`next` of the previous response, to continue after it.")


class DeletedAgentsQuery(RangeQuery, WhoQuery):
    surface: list[str] | SkipJsonSchema[None] = Field(None, description=SURFACE)
