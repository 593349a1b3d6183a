"""Requests and responses of runs."""

from datetime import datetime
from typing import Literal

from flexcredits_schemas.events import FeatureKind, Product
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from query_api.actors.schemas import ActorRef, GroupRef
from query_api.contracts.range import RangeQuery
from query_api.http.fields import CompleteTo, Credits, DateRange, ResponseBody, TimeZone
from query_api.usage.domain.catalog import AgentStatus

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""As the event schemas have it."""


class RunsQuery(RangeQuery):
    """Runs whose first use is in a range of days."""

    agent: str | SkipJsonSchema[None] = Field(
        None,
        max_length=64,
        pattern=PRINTABLE,
        description="Only runs of this agent. Empty text: runs without an agent.",
    )
    actor: str | SkipJsonSchema[None] = Field(
        None,
        min_length=1,
        max_length=254,
        pattern=PRINTABLE,
        description="Only runs of this person or service account. While people are pseudonymous, the alias. "
        "Refused if the organization shows groups only.",
    )
    group: str | SkipJsonSchema[None] = Field(
        None,
        min_length=1,
        max_length=128,
        pattern=PRINTABLE,
        description="Only runs of this group and the groups below it. Refused if the organization shows groups only.",
    )
    label: str | SkipJsonSchema[None] = Field(
        None,
        max_length=129,
        pattern=PRINTABLE,
        description="Only runs with this label: `KEY:VALUE`, with a declared key. Refused if the organization shows groups only.",
        examples=["project:apollo"],
    )
    limit: int = Field(50, ge=1, le=200)
    cursor: str | SkipJsonSchema[None] = Field(
        None, description="`next` of the previous response, to continue after it."
    )


class RunQuery(BaseModel):
    """A page of the uses of a run."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(500, ge=1, le=1000)
    cursor: str | SkipJsonSchema[None] = Field(
        None, description="`next` of the previous response, to continue after it."
    )


class AgentRef(ResponseBody):
    """An agent as it is now."""

    id: str
    name: str
    status: AgentStatus


class RunRow(ResponseBody):
    """A run with its counted usage."""

    id: str = Field(description="As the events give it.", examples=["conversation-7f3a"])
    key: str = Field(
        description="32 hexadecimal digits. Accepted instead of the id in `/api/v1/usage/runs/{run_id}`: an id may have "
        "characters that clients and proxies change in paths, such as `..`.",
        examples=["6f1c2c5b8e4d4a0f9b7a3c1d2e5f6071"],
    )
    parent_id: str | None = Field(description="The run that started it.")
    agent: AgentRef | None = Field(description="Of its first use. null: used without an agent.")
    actor: ActorRef | None = Field(
        description="Of its first use. null: without an actor, or the organization shows only groups."
    )
    group: GroupRef | None = Field(
        description="Of its first use. null: no group, or the organization shows only groups."
    )
    labels: dict[str, str] = Field(
        description="Of its first use: those with a key that the organization declares. Empty if the organization shows only "
        "groups."
    )
    first_at: datetime = Field(description="Time of its first use.")
    last_at: datetime = Field(description="Time of its last use.")
    credits: Credits = Field(description="Of all its uses and their corrections.")
    events: int = Field(description="Number of its uses.")


class AgentRuns(ResponseBody):
    """The runs of one agent in the range."""

    agent: AgentRef | None = Field(description="null: runs without an agent.")
    runs: int
    credits: Credits
    p50: Credits = Field(description="Half of the runs used at most these credits (nearest rank).")
    p95: Credits = Field(description="95 percent of the runs used at most these credits (nearest rank).")


class Runs(ResponseBody):
    """Runs of a range, highest credits first. A run belongs to the day of its first use."""

    range: DateRange
    time_zone: TimeZone
    runs: int = Field(description="Number of runs in the range, under the same filters.")
    credits: Credits = Field(description="Of all these runs.")
    events: int
    rows: list[RunRow]
    next: str | None = Field(
        description="Pass it as `cursor`, with the same other parameters, to get the next page. null: last page."
    )
    agents: list[AgentRuns] = Field(description="Highest credits first, at most 100, on every page.")
    agents_not_listed: int = Field(description="Number of further agents with runs.")
    complete_to: CompleteTo


class RunLink(ResponseBody):
    """A parent or child run."""

    id: str
    key: str
    credits: Credits | None = Field(description="null: no usage of this run is counted.")
    events: int
    first_at: datetime | None


class RunUse(ResponseBody):
    """One use of a run."""

    at: datetime
    offset_ms: int = Field(description="Milliseconds after the first counted use of the run.")
    state: Literal["counted", "held"] = Field(description="held: in no total yet.")
    product: Product
    feature_kind: FeatureKind
    feature: str
    feature_name: str
    agent: AgentRef | None
    surface: str | None
    credits: Credits | None = Field(description="As counted, without its corrections. null while held.")
    corrections: Credits = Field(description="Sum of its corrections.")
    receipt: str = Field(
        description="Pass it as `key` to `/api/v1/receipt`.", examples=["20779-0f5e1c3a9b7d2468ace013579bdf2468"]
    )


class Rest(ResponseBody):
    """Counted usage of the run that is not on this page."""

    credits: Credits
    events: int


class Run(RunRow):
    """A run and a page of its uses, in the order of their times.

    Credits of the page's uses, their corrections and `rest` add up to the run's credits.
    """

    time_zone: TimeZone
    parent: RunLink | None
    children: list[RunLink] = Field(description="The first 100 runs that it started, by time of their first use.")
    children_not_listed: int
    uses: list[RunUse]
    rest: Rest
    next: str | None = Field(description="Pass it as `cursor` to get the next uses. null: there are none.")
    complete_to: CompleteTo
