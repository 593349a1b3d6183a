"""Answers requests with events: authenticates the sender, validates events and publishes them. No event is
acknowledged before it is durable."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import Any, Literal

from fastapi import Request, Response
from flexcredits_schemas.identity import FIRST_WINS_HEADER
from flexcredits_schemas.mapping.apply import Mapping
from runtime.observability.tracing import TRACEPARENT, Tracing

from ingest.adapters.adapter import Adapter, Outcome
from ingest.db.key_store import KeyStore, KeysUnavailable
from ingest.domain.acceptance import Acceptance, Reason, Verdict
from ingest.domain.keys import StoredKey, is_valid, parse_key
from ingest.domain.limits import Budget, OverBudget, OverQuota, Quota
from ingest.http.body import is_compressed, read_body
from ingest.http.receipts import is_outside_scope
from ingest.http.responses import IngestProblem
from ingest.kafka.dead_letters import dead_letter
from ingest.kafka.partition_queue import Headers
from ingest.kafka.publisher import Message, NotAccepted, OutcomeUnknown, Publisher
from ingest.metrics import EVENTS, FOREIGN_EVENTS, REJECTED, UNAVAILABLE
from ingest.settings import Settings

NATIVE = "native"
FOREIGN_RESULTS = {Reason.UNPLACED: "unplaced", Reason.UNMAPPED: "unmapped"}
EVENT_HEADERS: Headers = [("content-type", b"application/cloudevents+json")]
TURN_S = 0.005  # work on a request, after which others get their turn
RETRY_SOON_S, RETRY_LATER_S = 1, 5


class EventEndpoint:
    """The steps of a request, in this order: key, content type, quota, body, events, Kafka, answer."""

    def __init__(
        self,
        settings: Settings,
        keys: KeyStore,
        quota: Quota,
        budget: Budget,
        publisher: Publisher,
        tracing: Tracing,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._quota = quota
        self._budget = budget
        self._requests = Budget(settings.connections_max, "requests")
        self._publisher = publisher
        self.tracing = tracing
        self._now = now

    async def receive(self, request: Request, adapter: Adapter) -> Response:
        """Answer one request. Raises IngestProblem."""
        try:
            key = await self._authenticate(request.headers.get("authorization", ""))
            adapter.check_headers(request.headers)
            is_compressed(request.headers)
            mapping = None if adapter.name == NATIVE else mapping_of(key, adapter.name)
            self._check_quota(key)
            # A body that memory never has room for is too large, not refused again and again.
            bytes_max = adapter.body_bytes_max or self._settings.body_bytes_max
            bytes_max = min(bytes_max, self._settings.in_flight_bytes_max // 4)
            with self._requests.reserve(key.sender) as place, self._budget.reserve(key.sender) as reservation:
                place.take(1)
                body = await read_body(request, reservation, bytes_max, self._settings.body_wait_s)
                return await self._take_events(request, body, adapter, key, mapping)
        except (KeysUnavailable, OverBudget, NotAccepted, OutcomeUnknown) as error:
            raise unavailable(error) from None

    async def _take_events(
        self, request: Request, body: bytes, adapter: Adapter, key: StoredKey, mapping: Mapping | None
    ) -> Response:
        received_at = self._now()
        elements = adapter.read(request.headers, body, received_at, mapping)
        verdict = await self._validate_events(elements, adapter.name, key, mapping, received_at)
        self._quota.charge(key.key_id, verdict.events)
        try:
            await self._publish(verdict, key, received_at, "" if mapping is None else request.url.path)
        except (OverBudget, NotAccepted, OutcomeUnknown):
            self._quota.charge(key.key_id, -verdict.events)  # the sender will send these events again
            raise
        count(verdict, adapter.name)
        return adapter.answer(request.headers, Outcome(verdict, elements, self._quota.headers(key.key_id)))

    async def _validate_events(
        self, elements: Iterable[Any], protocol: str, key: StoredKey, mapping: Mapping | None, received_at: datetime
    ) -> Verdict:
        acceptance = Acceptance(key.scope, received_at, self._settings.event_bytes_max)
        left = iter(elements)
        for first in left:
            if acceptance.verdict.events:
                await asyncio.sleep(0)
            turn = chain([first], take_until(time.perf_counter() + TURN_S, left))
            if mapping is None:
                acceptance.validate_events(map(bytes, turn))
            else:
                acceptance.validate_foreign(turn, protocol, mapping)
        return acceptance.verdict

    async def _authenticate(self, authorization: str) -> StoredKey:
        scheme, _, text = authorization.partition(" ")
        parsed = parse_key(text.strip()) if scheme.lower() == "bearer" else None
        if parsed:
            key_id, secret = parsed
            stored = await self._keys.find(key_id)
            if is_valid(stored, secret, self._now()) and stored:
                return stored
        # One answer for a key that is unknown, wrong, revoked or expired, so that it gives a thief no information.
        challenge = 'Bearer realm="flexcredits"' + (', error="invalid_token"' if authorization else "")
        raise IngestProblem(
            "unauthorized",
            "send a valid API key as `Authorization: Bearer fc_...`",
            headers={"WWW-Authenticate": challenge},
        )

    def _check_quota(self, key: StoredKey) -> None:
        try:
            self._quota.check(key.key_id)
        except OverQuota as error:
            headers = {"Retry-After": str(error.retry_after_s), **self._quota.headers(key.key_id)}
            raise IngestProblem(
                "over-quota", f"this key may send more in {error.retry_after_s} s", headers=headers
            ) from None

    async def _publish(self, verdict: Verdict, key: StoredKey, received_at: datetime, foreign_path: str) -> None:
        with self.tracing.span(f"send {self._settings.usage_events_topic}", "producer") as span:
            messages = self._write_messages(verdict, key, received_at, foreign_path, span.traceparent)
            if messages:
                await self._publisher.publish(messages, key.sender)

    def _write_messages(
        self, verdict: Verdict, key: StoredKey, received_at: datetime, foreign_path: str, traceparent: str
    ) -> list[Message]:
        settings, headers = self._settings, EVENT_HEADERS
        if traceparent:
            headers = [*EVENT_HEADERS, (TRACEPARENT, traceparent.encode())]
        messages: list[Message] = [(settings.usage_events_topic, *usage, headers) for usage in verdict.usage]
        messages += [(settings.catalog_topic, *event, headers) for event in verdict.catalog_events]
        first_wins_headers = [*headers, FIRST_WINS_HEADER]
        messages += [(settings.usage_events_topic, *usage, first_wins_headers) for usage in verdict.first_wins]
        if not is_outside_scope(verdict):
            messages += [
                dead_letter(
                    settings.dead_letter_topic,
                    rejected,
                    key.key_id,
                    received_at,
                    settings.event_bytes_max,
                    foreign_path,
                )
                for rejected in verdict.rejected
            ]
        return messages


def take_until(end: float, elements: Iterator[Any]) -> Iterator[Any]:
    """The next events of a turn. Time ends it, because an event may take 10 microseconds or 20 milliseconds."""
    while time.perf_counter() < end and (element := next(elements, None)) is not None:
        yield element


def mapping_of(key: StoredKey, protocol: str) -> Mapping:
    """The key's mapping, if it has rules for the protocol. Raises IngestProblem."""
    if key.mapped is None:
        raise IngestProblem("no-mapping", "the key has no mapping: set one with `flexcredits mappings set`")
    if key.mapped.mapping is None:
        raise IngestProblem("no-mapping", key.mapped.problem)
    if protocol not in key.mapped.mapping.protocols:
        raise IngestProblem("no-mapping", f"the key's mapping has no rule for {protocol}")
    return key.mapped.mapping


def unavailable(error: Exception) -> IngestProblem:
    """The 503 problem: the sender should send the whole request again, with the same ids."""
    outcome: Literal["unknown", "not_accepted"] = "unknown" if isinstance(error, OutcomeUnknown) else "not_accepted"
    retry_after_s = RETRY_SOON_S if isinstance(error, OverBudget) else RETRY_LATER_S
    UNAVAILABLE.labels(type(error).__name__).inc()
    return IngestProblem("unavailable", str(error), headers={"Retry-After": str(retry_after_s)}, outcome=outcome)


def count(verdict: Verdict, protocol: str) -> None:
    EVENTS.labels("accepted").inc(verdict.accepted)
    EVENTS.labels("duplicate").inc(verdict.duplicates)
    EVENTS.labels("rejected").inc(len(verdict.rejected))
    for event in verdict.rejected:
        REJECTED.labels(event.reason).inc()
    if protocol != NATIVE:
        FOREIGN_EVENTS.labels(protocol, "mapped").inc(verdict.accepted + verdict.duplicates)
        FOREIGN_EVENTS.labels(protocol, "ignored").inc(verdict.ignored)
        for event in verdict.rejected:
            FOREIGN_EVENTS.labels(protocol, FOREIGN_RESULTS.get(event.reason, "rejected")).inc()
