"""POST /api/v1/events: authenticates the sender, validates events and answers. No event is acknowledged before it is
durable."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha1
from importlib.metadata import version
from typing import Literal
from uuid import UUID

import msgspec
from fastapi import FastAPI, Request, Response
from msgspec import UNSET
from runtime.http.problems import MEDIA_TYPE
from runtime.http.server import request_id_of
from runtime.observability.tracing import TRACEPARENT, Tracing
from starlette.exceptions import HTTPException
from structlog.contextvars import bound_contextvars

from ingest.db.key_store import KeyStore, KeysUnavailable
from ingest.domain.acceptance import Acceptance, Reason, Rejected, Verdict
from ingest.domain.keys import StoredKey, is_valid, parse_key
from ingest.domain.limits import MemoryBudget, OverBudget, OverQuota, Quota
from ingest.http.binary import check_content_type, is_binary, to_structured
from ingest.http.body import is_compressed, read_body, split
from ingest.http.media_types import allowed_forms
from ingest.http.operation import EVENTS_OPERATION
from ingest.http.responses import IngestProblem, Receipt, RejectedEvent
from ingest.kafka.publisher import Message, NotAccepted, OutcomeUnknown, Publisher
from ingest.metrics import EVENTS, REFUSED, REJECTED, REQUEST_SECONDS, REQUESTS, UNAVAILABLE
from ingest.settings import Settings

EVENT_HEADERS = [("content-type", b"application/cloudevents+json")]
NAME = "POST /api/v1/events"
EVENTS_PER_TURN = 500  # about 5 ms of work, after which other requests get their turn
RETRY_SOON_S, RETRY_LATER_S = 1, 5


class EventEndpoint:
    """The steps of a request, in this order: key, content type, quota, body, events, Kafka, answer."""

    def __init__(
        self,
        settings: Settings,
        keys: KeyStore,
        quota: Quota,
        budget: MemoryBudget,
        publisher: Publisher,
        tracing: Tracing,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._quota = quota
        self._budget = budget
        self._publisher = publisher
        self.tracing = tracing
        self._now = now

    async def receive(self, request: Request) -> Response:
        """Answer one request. Raises IngestProblem."""
        try:
            key = await self._authenticate(request.headers.get("authorization", ""))
            split_body = self._choose_splitter(request)
            is_compressed(request.headers)
            self._check_quota(key)
            with self._budget.reserve() as reservation:
                body = await read_body(request, reservation, self._settings.body_bytes_max, self._settings.body_wait_s)
                return await self._take_events(split_body(body), key)
        except (KeysUnavailable, OverBudget, NotAccepted, OutcomeUnknown) as error:
            raise unavailable(error) from None

    def _choose_splitter(self, request: Request) -> Callable[[bytes], list[msgspec.Raw]]:
        """The function that splits the body into events, by the content type and mode of the request. Raises
        IngestProblem."""
        headers = request.headers
        if is_binary(headers):
            check_content_type(headers)
            return lambda body: [to_structured(headers, body)]
        forms = allowed_forms(headers)
        return lambda body: split(body, forms, self._settings.batch_events_max)

    async def _take_events(self, elements: list[msgspec.Raw], key: StoredKey) -> Response:
        received_at = self._now()
        verdict = await self._validate_events(elements, key, received_at)
        self._quota.charge(key.key_id, len(elements))
        try:
            await self._publish(verdict, key, received_at)
        except (OverBudget, NotAccepted, OutcomeUnknown):
            self._quota.charge(key.key_id, -len(elements))  # the sender will send these events again
            raise
        count(verdict)
        answer = msgspec.json.encode(receipt(verdict))
        return Response(answer, 202, self._quota.headers(key.key_id), media_type="application/json")

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

    async def _validate_events(self, elements: list[msgspec.Raw], key: StoredKey, received_at: datetime) -> Verdict:
        acceptance = Acceptance(key.scope, received_at, self._settings.event_bytes_max)
        for start in range(0, len(elements), EVENTS_PER_TURN):
            if start:
                await asyncio.sleep(0)
            acceptance.validate_events(map(bytes, elements[start : start + EVENTS_PER_TURN]))
        return acceptance.verdict

    async def _publish(self, verdict: Verdict, key: StoredKey, received_at: datetime) -> None:
        with self.tracing.span(f"send {self._settings.usage_events_topic}", "producer") as span:
            messages = self._write_messages(verdict, key, received_at, span.traceparent)
            if messages:
                await self._publisher.publish(messages)

    def _write_messages(
        self, verdict: Verdict, key: StoredKey, received_at: datetime, traceparent: str
    ) -> list[Message]:
        settings, headers = self._settings, EVENT_HEADERS
        if traceparent:
            headers = [*EVENT_HEADERS, (TRACEPARENT, traceparent.encode())]
        messages: list[Message] = [(settings.usage_events_topic, *usage, headers) for usage in verdict.usage]
        messages += [(settings.catalog_topic, *event, headers) for event in verdict.catalog_events]
        if not is_outside_scope(verdict):
            messages += [
                dead_letter(settings.dead_letter_topic, rejected, key.key_id, received_at, settings.event_bytes_max)
                for rejected in verdict.rejected
            ]
        return messages


def receipt(verdict: Verdict) -> Receipt:
    """The receipt for a durable verdict. Raises IngestProblem when no event was accepted."""
    rejected = [
        RejectedEvent(index=event.index, id=event.id, pointer=event.pointer, detail=event.detail)
        for event in verdict.rejected
    ]
    if is_outside_scope(verdict):
        raise IngestProblem("outside-scope", rejected[0].detail, rejected=rejected)
    if rejected and not verdict.accepted:
        where = f" at {rejected[0].pointer}" if rejected[0].pointer else ""
        raise IngestProblem("invalid-events", f"{rejected[0].detail}{where}", rejected=rejected)
    return Receipt(accepted=verdict.accepted, rejected=rejected, duplicates=verdict.duplicates or UNSET)


def is_outside_scope(verdict: Verdict) -> bool:
    """Whether the key covers no event of the request: then the request is refused like one with a wrong key, and leaves
    no dead letters."""
    return (
        bool(verdict.rejected)
        and not verdict.accepted
        and all(event.reason is Reason.OUTSIDE_SCOPE for event in verdict.rejected)
    )


def dead_letter(topic: str, rejected: Rejected, key_id: str, received_at: datetime, bytes_max: int) -> Message:
    """The received bytes with the reason. Its key is derived from them, so that a repeated request gives the same
    key."""
    digest = sha1(f"{rejected.reason} {rejected.pointer} ".encode() + rejected.raw, usedforsecurity=False)
    headers = {
        "reason": rejected.detail,
        "pointer": rejected.pointer,
        "received_at": received_at.isoformat(),
        "dlq.service": "ingest",
        "dlq.class": rejected.reason,
        "dlq.key_id": key_id,
    }
    if rejected.organization:
        headers["organization"] = rejected.organization
    if len(rejected.raw) > bytes_max:
        headers["dlq.truncated_from"] = str(len(rejected.raw))
    return (
        topic,
        f"ingest/{UUID(bytes=digest.digest()[:16], version=5)}".encode(),
        rejected.raw[:bytes_max],
        [(name, value.encode()) for name, value in headers.items()],
    )


def unavailable(error: Exception) -> IngestProblem:
    """The 503 problem: the sender should send the whole request again, with the same ids."""
    outcome: Literal["unknown", "not_accepted"] = "unknown" if isinstance(error, OutcomeUnknown) else "not_accepted"
    retry_after_s = RETRY_SOON_S if isinstance(error, OverBudget) else RETRY_LATER_S
    UNAVAILABLE.labels(type(error).__name__).inc()
    return IngestProblem("unavailable", str(error), headers={"Retry-After": str(retry_after_s)}, outcome=outcome)


def count(verdict: Verdict) -> None:
    EVENTS.labels("accepted").inc(verdict.accepted)
    EVENTS.labels("duplicate").inc(verdict.duplicates)
    EVENTS.labels("rejected").inc(len(verdict.rejected))
    for event in verdict.rejected:
        REJECTED.labels(event.reason).inc()


def answer_problem(refused: IngestProblem) -> Response:
    return Response(refused.encode(), refused.status, refused.headers, media_type=MEDIA_TYPE)


async def answer(endpoint: EventEndpoint, request: Request) -> Response:
    try:
        return await endpoint.receive(request)
    except IngestProblem as refused:
        REFUSED.labels(refused.problem).inc()
        return answer_problem(refused)


def build_app(endpoint: EventEndpoint) -> FastAPI:
    """The application. schemas/http/ingest-api.json contains its description, which is not served."""
    app = FastAPI(
        title="FlexCredits ingest API",
        version=version("flexcredits-ingest"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )

    @app.post("/api/v1/events", **EVENTS_OPERATION)
    async def post_events(request: Request) -> Response:
        """Report usage, corrections and catalog events as CloudEvents 1.0 in JSON.

        A batch is described here, as `application/cloudevents-batch+json`. One event as `application/cloudevents+json`, either of
        them as `application/json`, and binary mode (attributes in `ce-` headers, the data as the body) are taken too.
        The answer comes once every accepted event is on all in-sync replicas. A copy of an event with the same subject,
        source and id is never counted twice, so after a 503, or without an answer, send the whole request again.
        """
        began, status = time.perf_counter(), 500
        request_id = request_id_of(request.headers.get("x-request-id", ""))
        causes = [request.headers.get(TRACEPARENT, "")]
        try:
            with bound_contextvars(request_id=request_id), endpoint.tracing.span(NAME, "server", causes) as span:
                response = await answer(endpoint, request)
                status = response.status_code
                span.note(http__response__status_code=status)
            response.headers["x-request-id"] = request_id
            return response
        finally:
            REQUESTS.labels(status).inc()
            REQUEST_SECONDS.observe(time.perf_counter() - began)

    @app.exception_handler(HTTPException)
    async def answer_http_error(request: Request, error: HTTPException) -> Response:
        problem = "method-not-allowed" if error.status_code == 405 else "not-found"
        detail = f"{request.method} {request.url.path}: events are sent to POST /api/v1/events"
        return answer_problem(IngestProblem(problem, detail, headers=dict(error.headers or {})))

    @app.exception_handler(Exception)
    async def answer_defect(request: Request, error: Exception) -> Response:
        return answer_problem(
            IngestProblem("internal", "the request may or may not have been written", outcome="unknown")
        )

    return app


def utc_now() -> datetime:
    return datetime.now(UTC)
