"""Requests and responses of usage by people, groups and labels."""

from dataclasses import dataclass
from typing import Annotated, Literal

from flexcredits_schemas.events import Product
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from query_api.attributions.domain.spans import Membership, PeopleMode
from query_api.attributions.domain.tally import PeopleRowKind
from query_api.attributions.schemas import WhoQuery
from query_api.contracts.range import RangeQuery
from query_api.http.fields import CompleteTo, CreditsText, DateRange, RequestBody, ResponseBody, ShareText, TimeZone
from query_api.usage.breakdown.schemas import ChangeText, PreviousText
from query_api.usage.domain.catalog import View
from query_api.usage.views import SURFACE

By = Literal["person", "group", "label"]


class PeopleView(BaseModel):
    """By what the rows divide usage."""

    by: By = Field(
        "person",
        description="person: people and service accounts; refused if the organization shows groups only. group: the tree of "
        "groups. label: values of the label `label_key`.",
    )
    label_key: str | None = Field(
        None,
        max_length=32,
        examples=["project"],
        description="With `by=label`: a key that the organization has declared.",
    )


class PeopleFilter(RangeQuery, WhoQuery):
    """Which usage."""

    product: Product | None = Field(None, description="By default all products.")
    view: View | None = Field(None, description="Only usage that this view of the product shows.")
    surface: list[str] | SkipJsonSchema[None] = Field(None, description=SURFACE)
    agent: str | None = Field(
        None, max_length=64, examples=["agt_42"], description="Only usage of this agent, by its id."
    )
    feature: str | None = Field(
        None, max_length=200, examples=["claude-opus-5"], description="Only usage of this feature, by its id."
    )  # fmt: skip


class PeopleQuery(PeopleFilter, PeopleView):
    limit: int = Field(50, ge=1, le=1000, description="Maximum number of rows at the top level.")
    after: str | None = Field(None, description="`next` of the previous response, to continue after it.")
    search: str | None = Field(
        None, min_length=1, max_length=100,
        description="Only rows with each of these words in their name or id as shown, or in those of a row in them, without "
        "regard to case and accents. Everything else stays that of all rows.",
    )  # fmt: skip


class DriversQuery(PeopleFilter):
    by: Literal["person", "group"] = Field(
        "person", description="person is refused if the organization shows groups only."
    )
    limit: int = Field(5, ge=1, le=50, description="Maximum number of rows.")


@dataclass(slots=True)
class PeopleTableRow:
    """A row of the table. Its child rows, if any, add up to it exactly.

    Includes rows that were used in the previous range only, with zero credits and events.
    """

    kind: Annotated[
        PeopleRowKind,
        Field(
            description="removed: removed people together. unattributed: usage without actor; by group, without actor and group. "
            "own: usage of the group itself, beside the groups in it. no_group, no_value: usage without one. small: rows about "
            "fewer than five people, merged in an organization that shows groups only. other: people or labels beyond the "
            "limit of combinations that an organization may use for the first time in a month."
        ),
    ]
    id: Annotated[
        str,
        Field(
            description="Unique among sibling rows of the same kind; filters take it. An alias, unless names are shown."
        ),
    ]
    name: str
    credits: CreditsText
    events: Annotated[int, Field(description="Number of usage events. Corrections change credits only.")]
    share: ShareText
    previous: PreviousText
    change: ChangeText
    people: Annotated[int, Field(description="People with usage in the range, without service accounts.")]
    rows: "list[PeopleTableRow]"


@dataclass(frozen=True, slots=True)
class PeopleBand:
    """People by their rank, from the one with most credits: above `from_percent` and not above `to_percent` of all people.

    Without service accounts. Removed people are included. Each person is in one band.
    """

    from_percent: int
    to_percent: int
    people: int
    credits: CreditsText
    share: Annotated[ShareText, Field(description="Share of the credits of all people.")]
    least: Annotated[
        CreditsText | None, Field(description="Credits of the band's person with fewest. null without people.")
    ]


@dataclass(frozen=True, slots=True)
class PeopleMover:
    kind: PeopleRowKind
    id: str
    name: str
    credits: CreditsText
    previous: CreditsText
    difference: Annotated[CreditsText, Field(description="`credits` minus `previous`.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Usage by person, group or label. Pinned rows and the rows of all pages add up to the total exactly."""

    by: By
    label_key: str | None
    membership: Membership
    people_mode: Annotated[
        PeopleMode,
        Field(
            description="named: names are shown. pseudonymous: aliases. groups_only: only rows about at least five people."
        ),
    ]
    label_keys: Annotated[list[str], Field(description="Keys of labels that the organization has declared.")]
    range: DateRange
    previous_range: Annotated[
        DateRange | None,
        Field(description="As in the breakdown. null also if usage in it is about too few people to be shown."),
    ]
    time_zone: TimeZone
    total: Annotated[
        CreditsText, Field(description="Of the whole range and all pages; so are shares, bands and movers.")
    ]
    events: int
    previous: PreviousText
    change: ChangeText
    people: Annotated[int, Field(description="People with usage in the range, without service accounts.")]
    pinned: Annotated[
        list[PeopleTableRow],
        Field(description="On every page: removed, small, no_group, no_value, other, unattributed; those with usage."),
    ]
    rows: Annotated[list[PeopleTableRow], Field(description="Sorted by credits (highest first), then id.")]
    next: Annotated[
        str | None,
        Field(description="Pass it as `after`, with the same other parameters, to get the next page. null: last page."),
    ]
    moved: Annotated[
        bool,
        Field(
            description="true: new usage has changed the rows of earlier pages, so this is the first page again; discard the "
            "earlier pages. false: the pages so far contain each row once."
        ),
    ]
    bands: Annotated[list[PeopleBand], Field(description="Distribution of consumption; only with `by=person`.")]
    movers: Annotated[
        list[PeopleMover],
        Field(
            description="The rows that changed most, at most ten; largest change first. Empty without a previous range."
        ),
    ]
    complete_to: CompleteTo


@dataclass(frozen=True, slots=True, kw_only=True)
class Drivers:
    """Who drives an agent, a feature or other usage. Rows, `pinned` and `others` add up to the total exactly."""

    people_mode: PeopleMode
    range: DateRange
    time_zone: TimeZone
    total: CreditsText
    events: int
    people: Annotated[int, Field(description="People with usage in the range, without service accounts.")]
    rows: Annotated[
        list[PeopleTableRow], Field(description="Highest credits first. Groups without the groups inside them.")
    ]
    others: Annotated[CreditsText, Field(description="Credits of the rows beyond `limit`.")]
    other_rows: Annotated[int, Field(description="Number of the rows beyond `limit`.")]
    pinned: Annotated[list[PeopleTableRow], Field(description="As in the response of people.")]
    complete_to: CompleteTo


class RevealRequest(RequestBody):
    alias: str = Field(pattern="^Person [0-9A-F]{10}$", examples=["Person 3F9A01C27B"])


class RevealedPerson(ResponseBody):
    """Who an alias is. The audit log names who asked for which alias."""

    alias: str
    id: str = Field(description="`actor.id` of usage events.")
    name: str | None = Field(description="null if unknown or erased.")
    email: str | None = Field(description="null if unknown or erased.")
