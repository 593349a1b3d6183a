"""Decides the result of each event of a request: usage, catalog event, duplicate, or rejected with a reason. Pure."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from flexcredits_schemas.codec import InvalidEvent, decode, encode
from flexcredits_schemas.events import Agent, Correction, Event, Feature, Usage
from flexcredits_schemas.identity import amount_of, payload_of
from flexcredits_schemas.mapping.apply import Mapping
from flexcredits_schemas.mapping.foreign import Foreign, Unplaced, Unreadable

from ingest.domain.keys import EVERYTHING, Scope

# The ledger keeps identities for at least 430 days, so a copy of any accepted event meets its first copy there.
PAST = timedelta(days=400)
AHEAD = timedelta(minutes=5)
COUNTED = (Usage, Correction)  # tuples, because `Usage | Correction` would be created at every check
OF_ONE_PRODUCT = (Usage, Correction, Feature)
TEXT_MAX = 300  # the limit of quoted text: names of unknown fields and wrong values can be long


class Reason(StrEnum):
    """Kinds of rejection, for metrics and dead letters."""

    INVALID = "invalid"
    TOO_LARGE = "too_large"
    OUTSIDE_SCOPE = "outside_scope"
    OUTSIDE_WINDOW = "outside_window"
    CONFLICT = "conflict"
    UNPLACED = "unplaced"
    UNMAPPED = "unmapped"


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that is not counted. `pointer` (RFC 6901) is relative to the event; "" refers to all of it."""

    index: int
    id: str | None
    pointer: str
    detail: str
    reason: Reason
    organization: str | None
    raw: bytes


@dataclass
class Verdict:
    """The events of a request by disposition. Accepted ones are (key, canonical bytes) in the order of the request."""

    usage: list[tuple[bytes, bytes]] = field(default_factory=list)
    first_wins: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Usage that is a duplicate if its identity was used before, whatever its content is."""
    catalog_events: list[tuple[bytes, bytes]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    duplicates: int = 0
    ignored: int = 0
    """Foreign events that the mapping says not to store."""

    @property
    def accepted(self) -> int:
        return len(self.usage) + len(self.first_wins) + len(self.catalog_events)

    @property
    def events(self) -> int:
        return self.accepted + self.duplicates + self.ignored + len(self.rejected)


class Rejection(InvalidEvent):
    """A valid event that is not accepted."""

    def __init__(self, reason: Reason, detail: str, pointer: str = "") -> None:
        super().__init__(detail, pointer)
        self.reason = reason


class Acceptance:
    """Validates the events of one request, in any number of calls: copies are recognised across all of them."""

    def __init__(self, scope: Scope, received_at: datetime, event_bytes_max: int) -> None:
        self.verdict = Verdict()
        self._scope = scope
        self._event_bytes_max = event_bytes_max
        self._oldest, self._newest = received_at - PAST, received_at + AHEAD
        self._covered: set[tuple[type, str | None, str | None]] = set()
        self._seen: dict[tuple[str | None, str, str], bytes] = {}
        """Canonical bytes by identity. The events themselves would keep four times the memory until the answer."""

    def validate_events(self, elements: Iterable[bytes]) -> None:
        """Validate the next events, in the order of the request, and add them to the verdict."""
        verdict = self.verdict
        for index, raw in enumerate(elements, verdict.events):
            try:
                self._take(raw)
            except InvalidEvent as error:
                event_id, organization = _name(raw, self._event_bytes_max)
                self._reject(index, event_id, error, organization, raw)

    def validate_foreign(self, elements: Iterable[Foreign | Unreadable], protocol: str, mapping: Mapping) -> None:
        """Place the next foreign events by the key's mapping, and validate them as `validate_events` does."""
        verdict, organization = self.verdict, mapping.organization
        for index, foreign in enumerate(elements, verdict.events):
            try:
                if isinstance(foreign, Unreadable):
                    self._check_size(foreign.raw)
                    raise InvalidEvent(foreign.detail, foreign.pointer)
                self._place(foreign, protocol, mapping)
            except Rejection as error:
                self._reject(index, foreign.id, Rejection(error.reason, error.detail), organization, foreign.raw)
            except InvalidEvent as error:
                self._reject(index, foreign.id, error, organization, foreign.raw)

    def _place(self, foreign: Foreign, protocol: str, mapping: Mapping) -> None:
        rule = mapping.find_rule(protocol, foreign)
        if rule.ignores:
            self.verdict.ignored += 1
            return
        usage = rule.place(foreign, mapping.organization)
        self._accept(usage, rule.first_wins(foreign, usage))

    def _reject(
        self, index: int, event_id: str | None, error: InvalidEvent, organization: str | None, raw: bytes
    ) -> None:
        reason = Reason(error.reason) if isinstance(error, Rejection | Unplaced) else Reason.INVALID
        name = None if event_id is None else _clean(event_id)
        self.verdict.rejected.append(
            Rejected(index, name, _clean(error.pointer), _clean(error.detail), reason, organization, raw)
        )

    def _take(self, raw: bytes) -> None:
        self._check_size(raw)
        self._accept(decode(raw), first_wins=False)

    def _accept(self, event: Event, first_wins: bool) -> None:
        self._check_scope(event)
        if event.time > self._newest:
            raise Rejection(Reason.OUTSIDE_WINDOW, "more than 5 minutes in the future", "/time")
        if isinstance(event, COUNTED) and event.time < self._oldest:
            raise Rejection(Reason.OUTSIDE_WINDOW, "more than 400 days in the past", "/time")
        canonical = encode(event)
        first = self._seen.setdefault((event.subject, event.source, event.id), canonical)
        if first is not canonical:
            if not first_wins and first != canonical and not _same_payload(decode(first), event):
                detail = "another event of this request has the same subject, source and id, with other content"
                raise Rejection(Reason.CONFLICT, detail, "/id")
            self.verdict.duplicates += 1
            return
        self._check_size(canonical)
        if isinstance(event, COUNTED):
            (self.verdict.first_wins if first_wins else self.verdict.usage).append((key_of(event), canonical))
        else:
            self.verdict.catalog_events.append(((event.subject or "").encode(), canonical))

    def _check_size(self, message: bytes) -> None:
        if len(message) > self._event_bytes_max:
            raise Rejection(Reason.TOO_LARGE, f"an event has at most {self._event_bytes_max} bytes")

    def _check_scope(self, event: Event) -> None:
        product = event.data.product if isinstance(event, OF_ONE_PRODUCT) else None
        claim = type(event), event.subject, product
        if claim not in self._covered:  # most events of a request need the same permission
            check_scope(self._scope, event)
            self._covered.add(claim)


def check_scope(scope: Scope, event: Event) -> None:
    """Raise Rejection unless the key may send this event.

    Usage and corrections need the organization and the product. An agent belongs to product `agents`, a feature's name
    and category to the feature's product. Events that decide access and money (organization, member, contract, rate)
    and events of people (actor, group) do not belong to one product, so they need a key for all products. Catalog
    events without a subject apply to every organization, so they need a key for all organizations.
    """
    if event.subject is None:
        if EVERYTHING not in scope.organizations:
            raise Rejection(Reason.OUTSIDE_SCOPE, "the key does not cover all organizations", "/subject")
    elif not scope.covers_organization(event.subject):
        raise Rejection(Reason.OUTSIDE_SCOPE, f"the key does not cover organization {event.subject}", "/subject")
    if isinstance(event, OF_ONE_PRODUCT):
        if not scope.covers_product(event.data.product):
            raise Rejection(Reason.OUTSIDE_SCOPE, f"the key does not cover {event.data.product}", "/data/product")
    elif isinstance(event, Agent):
        if not scope.covers_product("agents"):
            raise Rejection(Reason.OUTSIDE_SCOPE, "the key does not cover agents", "/type")
    elif EVERYTHING not in scope.products:
        raise Rejection(Reason.OUTSIDE_SCOPE, "the key does not cover all products", "/type")


def key_of(event: Usage | Correction) -> bytes:
    """The Kafka key: events of one rollup row share a partition, so that aggregators do not compete for the row."""
    data = event.data
    return f"{event.subject}|{data.product}|{data.agent.id if data.agent else data.feature}".encode()


def _same_payload(first: Event, second: Event) -> bool:
    """Whether two events of one identity have the same content, by the fingerprint that the ledger compares."""
    if isinstance(first, COUNTED) and isinstance(second, COUNTED):
        return _fingerprint(first) == _fingerprint(second)
    return _encode_to_milliseconds(first) == _encode_to_milliseconds(second)


def _encode_to_milliseconds(event: Event) -> bytes:
    """The event with its time cut to milliseconds, as the ledger compares usage, because the JavaScript SDK of
    CloudEvents truncates the time of events that it forwards."""
    time = event.time.replace(microsecond=event.time.microsecond // 1000 * 1000)
    return encode(msgspec.structs.replace(event, time=time))


class _Named(msgspec.Struct):
    """The members of an event that `_name` reads."""

    id: str | None = None
    subject: str | None = None


_named = msgspec.json.Decoder(_Named)


def _name(raw: bytes, event_bytes_max: int) -> tuple[str | None, str | None]:
    """Id and organization of an event that may be invalid, so that its sender can find it."""
    with suppress(ValueError, RecursionError, msgspec.MsgspecError):
        # All of a large one, decoded, may take thirty times the memory, and half a second.
        is_large = len(raw) > event_bytes_max
        event = msgspec.structs.asdict(_named.decode(raw)) if is_large else json.loads(raw)
        if isinstance(event, dict):
            event_id, organization = event.get("id"), event.get("subject")
            return (
                _clean(event_id) if isinstance(event_id, str) else None,
                _clean(organization) if isinstance(organization, str) else None,
            )
    return None, None


def _clean(text: str) -> str:
    """The text in a form that is safe to write anywhere: without lone surrogates, and not too long."""
    return text[:TEXT_MAX].encode("utf-8", "replace").decode()


def _fingerprint(event: Usage | Correction) -> bytes:
    return payload_of(event, amount_of(event), event.time.timestamp())
