"""Our own protocol: CloudEvents 1.0 of our event types."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from fastapi import Response
from flexcredits_schemas.mapping.apply import Mapping
from msgspec import Raw
from starlette.datastructures import Headers

from ingest.adapters.adapter import Outcome
from ingest.http.binary import check_content_type, is_binary, to_structured
from ingest.http.body import split
from ingest.http.media_types import allowed_forms
from ingest.http.operation import EVENTS_OPERATION
from ingest.http.receipts import problem_response, receipt
from ingest.http.responses import IngestProblem

PATH = "/api/v1/events"


class NativeAdapter:
    name = "native"
    paths = (PATH,)
    body_bytes_max = None

    def __init__(self, events_max: int) -> None:
        self._events_max = events_max

    def operation(self, path: str) -> dict[str, Any]:
        return EVENTS_OPERATION

    def check_headers(self, headers: Headers) -> None:
        if is_binary(headers):
            check_content_type(headers)
        else:
            allowed_forms(headers)

    def read(
        self, headers: Headers, body: bytes, received_at: datetime, mapping: Mapping | None = None
    ) -> Iterable[Raw]:
        if is_binary(headers):
            return [to_structured(headers, body)]
        return split(body, allowed_forms(headers), self._events_max)

    def answer(self, headers: Headers, outcome: Outcome) -> Response:
        answer = msgspec.json.encode(receipt(outcome.verdict))
        return Response(answer, 202, dict(outcome.quota), media_type="application/json")

    def answer_problem(self, headers: Headers, problem: IngestProblem) -> Response:
        return problem_response(problem)
