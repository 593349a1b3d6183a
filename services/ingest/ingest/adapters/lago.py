"""The events endpoints of Lago: one event as `{"event": ...}`, a batch as `{"events": [...]}`, and Lago's own answers."""

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Named
from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import Response
from flexcredits_schemas.mapping.apply import Mapping
from flexcredits_schemas.mapping.foreign import Foreign, Unreadable
from flexcredits_schemas.mapping.readers.lago import read_event
from msgspec import UNSET, Raw, Struct, UnsetType
from starlette.datastructures import Headers

from ingest.adapters.adapter import Outcome
from ingest.adapters.elements import check_commas, check_json, read_element, unreadable_body
from ingest.http.body import too_many
from ingest.http.operation import foreign_operation
from ingest.http.receipts import receipt
from ingest.http.responses import IngestProblem, RejectedEvent

PATH = "/lago/api/v1/events"
DESCRIPTION = """\
Events of Lago's SDKs and of LiteLLM's callback `lago`. `timestamp` is optional. The key's mapping says which usage an event
becomes. If an event cannot be placed, it becomes a dead letter, and the answer is 422 with its reason; the other events of
the request are counted, so it may be sent again whole."""


class Body(Struct):
    event: Raw | UnsetType = UNSET
    events: list[Raw] | UnsetType = UNSET


_body = msgspec.json.Decoder(Body)
_encoder = msgspec.json.Encoder(decimal_format="number")


class Events:
    """The events of a request, decoded one at a time: decoded ones may take thirty times the memory of the body. Of those that
    were read, `described` has what the answer says of them."""

    def __init__(self, elements: list[Raw], received_at: datetime, event_bytes_max: int) -> None:
        self._elements = elements
        self._received_at = received_at
        self._event_bytes_max = event_bytes_max
        self.described: list[Raw] = []

    def __iter__(self) -> Iterator[Foreign | Unreadable]:
        for raw in self._elements:
            event = read_element(raw, read_event, self._received_at, self._event_bytes_max)
            if isinstance(event, Foreign):
                self.described.append(Raw(_encoder.encode(describe_event(event))))
            yield event


class LagoAdapter:
    """POST /events: one event."""

    name = "lago"
    paths: tuple[str, ...] = (PATH,)
    body_bytes_max = None
    operation_id, summary = "post_lago_event", "Report an event of Lago"

    def __init__(self, events_max: int, event_bytes_max: int) -> None:
        self._events_max = events_max
        self._event_bytes_max = event_bytes_max

    def operation(self, path: str) -> dict[str, Any]:
        operation = foreign_operation(self.operation_id, self.summary, DESCRIPTION, 200, "Every event is durable.")
        for response in operation["responses"].values():
            response["content"] = {"application/json": {"schema": {"type": "object"}}}
        return operation

    def check_headers(self, headers: Headers) -> None:
        check_json(headers)

    def read(self, headers: Headers, body: bytes, received_at: datetime, mapping: Mapping | None = None) -> "Events":
        return Events(self._split(body), received_at, self._event_bytes_max)

    def _split(self, body: bytes) -> list[Raw]:
        check_commas(body, self._events_max)
        with unreadable_body(body):
            given = _body.decode(body)
        # A dead letter is the event alone, which its operator may send again to the same path.
        events = [Raw(body) if given.event is UNSET else given.event] if given.events is UNSET else given.events
        if len(events) > self._events_max:
            raise too_many(self._events_max)
        return events

    def answer(self, headers: Headers, outcome: Outcome) -> Response:
        verdict = outcome.verdict
        given = receipt(verdict)
        if given.rejected:
            raise IngestProblem("invalid-events", given.rejected[0].detail, rejected=given.rejected)
        assert isinstance(outcome.elements, Events)
        body = self._describe(outcome.elements.described)
        return Response(_encoder.encode(body), 200, dict(outcome.quota), media_type="application/json")

    def _describe(self, events: list[Raw]) -> dict[str, Any]:
        return {"event": events[0] if events else None}

    def answer_problem(self, headers: Headers, problem: IngestProblem) -> Response:
        """An error as Lago's SDKs parse it. They wait for `X-RateLimit-Reset` after 429, not for `Retry-After`."""
        answered = {**problem.headers}
        if problem.status == HTTPStatus.TOO_MANY_REQUESTS and (wait_s := problem.headers.get("Retry-After")):
            answered["X-RateLimit-Reset"] = wait_s
        rejected: Iterable[RejectedEvent] = problem.members.get("rejected", ())
        body = {
            "status": problem.status,
            "error": HTTPStatus(problem.status).phrase,
            "code": "validation_errors" if rejected else problem.problem.replace("-", "_"),
            "message": problem.members["detail"],
            **({"error_details": self._details(rejected)} if rejected else {}),
        }
        return Response(msgspec.json.encode(body), problem.status, answered, media_type="application/json")

    def _details(self, rejected: Iterable[RejectedEvent]) -> Named[str, Any]:
        return next(map(detail_of, rejected))


class LagoBatchAdapter(LagoAdapter):
    """POST /events/batch."""

    paths = (f"{PATH}/batch",)
    operation_id, summary = "post_lago_events", "Report events of Lago"

    def _describe(self, events: list[Raw]) -> dict[str, Any]:
        return {"events": events}

    def _details(self, rejected: Iterable[RejectedEvent]) -> Named[str, Any]:
        return {str(event.index): detail_of(event) for event in rejected}


def describe_event(foreign: Foreign) -> dict[str, Any]:
    """The event as Lago answers it. Ids that only Lago gives are null."""
    event = foreign.event
    return {
        "lago_id": None,
        "transaction_id": event["transaction_id"],
        "lago_customer_id": None,
        "lago_subscription_id": None,
        "external_subscription_id": event["external_subscription_id"],
        "code": event["code"],
        "timestamp": foreign.time,
        "precise_total_amount_cents": event.get("precise_total_amount_cents"),
        "properties": event.get("properties") or {},
        "created_at": None,
    }


def detail_of(event: RejectedEvent) -> dict[str, list[str]]:
    """The reason by field, as Lago writes it; a field inside `properties` by its pointer."""
    return {event.pointer.removeprefix("/") or "event": [event.detail]}
