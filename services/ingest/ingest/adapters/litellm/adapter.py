"""The endpoint of LiteLLM's callback `generic_api`: payloads as a JSON array, as lines, or one alone."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from fastapi import Response
from flexcredits_schemas.codec import BYTE_ORDER_MARK
from flexcredits_schemas.mapping.apply import Mapping
from flexcredits_schemas.mapping.foreign import Foreign, Unreadable
from msgspec import Raw
from starlette.datastructures import Headers

from ingest.adapters.adapter import Outcome
from ingest.adapters.elements import check_commas, check_json, unreadable_body
from ingest.adapters.litellm.narrow import narrow_form
from ingest.adapters.litellm.payloads import Payloads, read_payload, split_array
from ingest.http.body import too_many
from ingest.http.operation import REF, foreign_operation
from ingest.http.receipts import problem_response, receipt
from ingest.http.responses import IngestProblem

DESCRIPTION = """\
What LiteLLM's callback `generic_api` sends: StandardLoggingPayload as a JSON array, as lines (`ndjson`), or one alone. The
key's mapping says which usage a call becomes. Prompts and answers in it are not read. LiteLLM does not send again what is
refused."""
LINES = "application/x-ndjson"

_one = msgspec.json.Decoder(Raw)


class LiteLlmAdapter:
    name = "litellm"
    paths: tuple[str, ...] = ("/litellm",)
    body_bytes_max = 20 * 1024 * 1024
    """LiteLLM sends 512 calls at once, of 13 kB each without their prompts and answers."""

    def __init__(self, events_max: int, event_bytes_max: int) -> None:
        self._events_max = events_max
        self._event_bytes_max = event_bytes_max

    def operation(self, path: str) -> dict[str, Any]:
        operation = foreign_operation(
            "post_litellm", "Report calls of LiteLLM", DESCRIPTION, 202, "Every accepted call is durable."
        )
        operation["responses"][202]["content"] = {"application/json": {"schema": {"$ref": f"{REF}Receipt"}}}
        return operation

    def check_headers(self, headers: Headers) -> None:
        if headers.get("content-type", "").partition(";")[0].strip().lower() != LINES:
            check_json(headers)

    def read(
        self, headers: Headers, body: bytes, received_at: datetime, mapping: Mapping | None = None
    ) -> Iterator[Foreign | Unreadable]:
        body = body.removeprefix(BYTE_ORDER_MARK)
        narrow = None if mapping is None else narrow_form(mapping.pointers(self.name))
        calls = None if narrow is None else narrow.decode(body)
        if narrow is None or calls is None:
            for raw in self._split(body):
                yield read_payload(raw, received_at, self._event_bytes_max)
            return
        if len(calls) > self._events_max:
            raise too_many(self._events_max)
        payloads = Payloads(body)
        calls.reverse()
        for index in range(len(calls)):
            found = narrow.read_call(calls.pop(), (payloads, index))  # soon freed, while it is in the processor's cache
            yield found or read_payload(payloads[index], received_at, self._event_bytes_max)

    def _split(self, body: bytes) -> list[Raw]:
        check_commas(body, self._events_max)
        if body.lstrip(b" \t\r\n")[:1] == b"[":
            with unreadable_body(body):
                payloads = split_array(body)
        else:
            payloads = self._split_lines(body)
        if len(payloads) > self._events_max:
            raise too_many(self._events_max)
        return payloads

    def _split_lines(self, body: bytes) -> list[Raw]:
        try:
            return [_one.decode(body)]  # also over several lines
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if body.count(b"\n") > self._events_max:
                raise too_many(self._events_max) from None
        with unreadable_body(body):
            payloads = _one.decode_lines(body)
        if not payloads:
            raise IngestProblem("malformed-body", "the body is empty")
        return payloads

    def answer(self, headers: Headers, outcome: Outcome) -> Response:
        answer = msgspec.json.encode(receipt(outcome.verdict))
        return Response(answer, 202, dict(outcome.quota), media_type="application/json")

    def answer_problem(self, headers: Headers, problem: IngestProblem) -> Response:
        return problem_response(problem)
