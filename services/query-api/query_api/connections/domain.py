"""Tries a mapping on events, with the code that ingest applies. Pure."""

from typing import Any, Literal, NamedTuple

from flexcredits_schemas.events import Usage
from flexcredits_schemas.mapping.apply import Ignored, Mapping, compile_mapping
from flexcredits_schemas.mapping.document import Document, InvalidMapping, Protocol, decode_document
from flexcredits_schemas.mapping.foreign import Foreign, Unplaced, Unreadable
from msgspec import UnsetType

EVENT_CHARACTERS_MAX = 128 * 1024
EVENTS_MAX = 100
"""Events of one trial. More are not shown on a page."""

Outcome = Literal["usage", "ignored", "unplaced", "unmapped", "unreadable"]


class Failure(NamedTuple):
    """Why an event is not counted. `field` is "" if no rule matches, `pointer` is relative to the event."""

    field: str
    pointer: str
    detail: str


class Tried(NamedTuple):
    """What becomes of one event: `usage` or `failure`, or neither if it is ignored. `event` is what pointers lead into."""

    id: str | None
    outcome: Outcome
    rule: str
    event: Any
    usage: Usage | None = None
    failure: Failure | None = None


def check_document(text: bytes, organization: str) -> tuple[Document, Mapping]:
    """The document, for a key of exactly this organization. Raises InvalidMapping."""
    document = decode_document(text)
    if not isinstance(document.organization, UnsetType) and document.organization != organization:
        raise InvalidMapping(f"the key is for the organization {organization} only", "/organization")
    return document, compile_mapping(document, organization)


def try_event(mapping: Mapping, protocol: Protocol, event: Foreign | Unreadable) -> Tried:
    """What the mapping makes of an event."""
    if isinstance(event, Unreadable):
        return Tried(event.id, "unreadable", "", None, failure=Failure("", event.pointer, event.detail))
    try:
        rule = mapping.find_rule(protocol, event)
        placed = mapping.place(protocol, event)
    except Unplaced as error:
        return Tried(
            event.id, error.reason, error.rule, event.event, failure=Failure(error.field, error.pointer, error.detail)
        )
    if isinstance(placed, Ignored):
        return Tried(event.id, "ignored", rule.name, event.event)
    return Tried(event.id, "usage", rule.name, event.event, placed)
