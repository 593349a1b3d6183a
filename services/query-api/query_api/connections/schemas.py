"""Requests and responses of API keys and mappings."""

from datetime import datetime
from typing import Any

from flexcredits_schemas.mapping.document import Protocol
from pydantic import Field, StrictStr

from query_api.connections.domain import EVENT_CHARACTERS_MAX, Outcome
from query_api.http.fields import RequestBody, ResponseBody
from query_api.http.problems import ParameterError


class LastChange(ResponseBody):
    """The last change of a key's mapping."""

    updated_at: datetime
    updated_by: str = Field(
        description="Address of the person who saved it; of an operator, what the command line knows."
    )


class ApiKey(ResponseBody):
    """A key with which programs send events. Its secret is not stored."""

    id: str = Field(examples=["4kQ9vT2mXa7B"])
    products: list[str] = Field(description="Products whose usage it may send; `*`: all.", examples=[["*"]])
    created_at: datetime
    expires_at: datetime | None = Field(description="null: it does not expire.")
    mapping: LastChange | None = Field(description="null: it has no mapping, so it takes only events of FlexCredits.")


class ApiKeys(ResponseBody):
    """Keys that are only for this organization, oldest first, without revoked ones."""

    keys: list[ApiKey]


class MappingResponse(ResponseBody):
    """The mapping of a key. The ETag is the version: pass it as If-Match to save or remove."""

    version: str = Field(description="`0`: there is no mapping.", examples=["5f0c3b1e9a7d4c628b1f0e3d5a7c9b24"])
    document: dict[str, Any] | None = Field(
        description="`flexcredits.mapping.v1`; null: there is none. See schemas/mappings/flexcredits.mapping.v1.json."
    )
    updated_at: datetime | None
    updated_by: str | None


class ReadyMadeMapping(ResponseBody):
    """A mapping to begin with."""

    name: str = Field(examples=["openmeter"])
    title: str
    protocol: Protocol = Field(description="The protocol of its first rule.")
    document: dict[str, Any]
    example: str | None = Field(description="What such a program sends, to try the mapping on.")


class ReadyMadeMappings(ResponseBody):
    mappings: list[ReadyMadeMapping]


class TryRequest(RequestBody):
    """A mapping, and what a program sends."""

    document: dict[str, Any] = Field(description="`flexcredits.mapping.v1`. It is not saved.")
    protocol: Protocol
    event: StrictStr = Field(
        default="",
        max_length=EVENT_CHARACTERS_MAX,
        description="One or several events as text: the JSON body of a request of that protocol, or lines of JSON. "
        "Empty: only the document is checked. It is not stored.",
    )


class Failure(ResponseBody):
    """Why an event is not counted. Its dead letter says the same."""

    field: str = Field(description="The field of usage; empty if no rule matches.", examples=["feature"])
    pointer: str = Field(
        description="JSON pointer into the event; empty for the whole event.", examples=["/data/model"]
    )
    detail: str


class TriedEvent(ResponseBody):
    """What the mapping makes of one event."""

    id: str | None = Field(description="The event's own id, which identifies copies. null: it has none.")
    outcome: Outcome = Field(
        description="usage: counted. ignored: a rule says not to store it. unplaced: a field has no valid value. unmapped: no "
        "rule matches. unreadable: it is no event of this protocol. The last three become dead letters."
    )
    rule: str | None = Field(description="The rule that matches. null: none.")
    event: Any = Field(description="What the pointers of rules lead into. Of OTLP, one span, log record or point.")
    usage: dict[str, Any] | None = Field(description="The event `flexcredits.usage.v1` that is counted.")
    failure: Failure | None


class Trial(ResponseBody):
    """The result of a trial. Nothing is stored."""

    mistakes: list[ParameterError] = Field(
        description="Mistakes of the document, with pointers into it. The event is tried only without any."
    )
    unreadable: str | None = Field(description="Why the text has no events of this protocol.")
    events: list[TriedEvent]
