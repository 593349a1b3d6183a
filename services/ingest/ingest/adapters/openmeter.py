"""The events endpoints of OpenMeter: `api/v1` answers 204, which its Python SDK needs exactly, and `api/v3` 202."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from fastapi import Response
from flexcredits_schemas.mapping.apply import Mapping
from flexcredits_schemas.mapping.foreign import Foreign, InvalidJson, Unreadable, decode_json
from flexcredits_schemas.mapping.readers.openmeter import read_event
from starlette.datastructures import Headers

from ingest.adapters.adapter import Outcome
from ingest.http.body import split
from ingest.http.media_types import allowed_forms
from ingest.http.operation import foreign_operation
from ingest.http.receipts import problem_response, receipt
from ingest.http.responses import IngestProblem

INVALID = 400
"""Status of a request without a valid event: OpenMeter's collector drops what gets 400, and would send what gets 422
again and again."""
DESCRIPTION = """\
CloudEvents 1.0 of OpenMeter's SDKs and collector, and of LiteLLM's callback `openmeter`: one event or an array. `time` is
optional. The key's mapping says which usage an event becomes. Events that it cannot place become dead letters; if no event
of the request is placed, the answer is 400."""


V1, V3 = "/openmeter/api/v1/events", "/openmeter/api/v3/openmeter/events"


class OpenMeterAdapter:
    name = "openmeter"
    body_bytes_max = None

    def __init__(self, path: str, status: int, events_max: int, event_bytes_max: int) -> None:
        self.paths = (path,)
        self._status = status
        self._events_max = events_max
        self._event_bytes_max = event_bytes_max

    def operation(self, path: str) -> dict[str, Any]:
        operation_id = "post_openmeter_events_v1" if path == V1 else "post_openmeter_events_v3"
        return foreign_operation(
            operation_id, "Report events of OpenMeter", DESCRIPTION, self._status, "Every event is durable."
        )

    def check_headers(self, headers: Headers) -> None:
        allowed_forms(headers)

    def read(
        self, headers: Headers, body: bytes, received_at: datetime, mapping: Mapping | None = None
    ) -> Iterator[Foreign | Unreadable]:
        for raw in split(body, allowed_forms(headers), self._events_max):
            yield self._read_element(bytes(raw), received_at)

    def answer(self, headers: Headers, outcome: Outcome) -> Response:
        receipt(outcome.verdict)
        return Response(None, self._status, dict(outcome.quota))

    def answer_problem(self, headers: Headers, problem: IngestProblem) -> Response:
        return problem_response(problem, INVALID if problem.status == 422 else problem.status)

    def _read_element(self, raw: bytes, received_at: datetime) -> Foreign | Unreadable:
        if len(raw) > self._event_bytes_max:
            return Unreadable(None, "", "too large", raw)  # before it is decoded, which takes twenty times the memory
        try:
            event = decode_json(raw)
        except InvalidJson as error:
            return Unreadable(None, "", str(error), raw)
        return read_event(event, raw, received_at)
