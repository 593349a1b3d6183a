"""OTLP/HTTP: `/otlp/v1/traces`, `/otlp/v1/logs` and `/otlp/v1/metrics`, in protobuf and JSON."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from fastapi import Response
from flexcredits_schemas.mapping.apply import Mapping
from flexcredits_schemas.mapping.foreign import Foreign, Unreadable
from flexcredits_schemas.mapping.readers.otlp.reading import Kind, MalformedRequest, read_json
from starlette.datastructures import Headers

from ingest.adapters.adapter import Outcome
from ingest.adapters.otlp.answers import JSON, PROTOBUF, export_response, status_body
from ingest.adapters.otlp.protobuf import EVERYTHING, read_protobuf
from ingest.http.operation import foreign_operation
from ingest.http.receipts import is_outside_scope
from ingest.http.responses import IngestProblem

BODY_BYTES_MAX = 20 * 1024 * 1024
"""As OpenTelemetry's own receivers allow, as received and after decompression."""
RETRY_SOON_S = 1
RESPONSE_SCHEMA = {"type": "object", "properties": {"partialSuccess": {"type": "object"}}}
STATUS_SCHEMA = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
}
SUMMARIES = {"traces": "Report spans", "logs": "Report log records", "metrics": "Report metric points"}
DESCRIPTION = """\
OTLP/HTTP: an `{request}` as `application/x-protobuf` or `application/json`, also with gzip. The key's mapping says which
{name} are usage, and which to ignore. The answer is an `{response}` in the content type of the request. Its
`partial_success` has what is rejected, with the rule and the field. Every answer from 400 on has a `google.rpc.Status`."""


class OtlpAdapter:
    body_bytes_max = BODY_BYTES_MAX

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.name = f"otlp_{kind.name}"
        self.paths = (f"/otlp/v1/{kind.name}",)

    def operation(self, path: str) -> dict[str, Any]:
        request, name = self._kind.request, self._kind.name
        description = DESCRIPTION.format(name=name, request=request, response=request.replace("Request", "Response"))
        operation = foreign_operation(
            f"post_otlp_{name}", SUMMARIES[name], description, 200, "Every accepted signal is durable."
        )
        for status, response in operation["responses"].items():
            response["content"] = {
                JSON: {"schema": STATUS_SCHEMA if status >= 400 else RESPONSE_SCHEMA},
                PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
            }
        return operation

    def check_headers(self, headers: Headers) -> None:
        if media_type(headers) not in (PROTOBUF, JSON):
            detail = f"Content-Type is {headers.get('content-type', '')!r}"
            raise IngestProblem("unsupported-media-type", detail, headers={"Accept": f"{PROTOBUF}, {JSON}"})

    def read(
        self, headers: Headers, body: bytes, received_at: datetime, mapping: Mapping | None = None
    ) -> Iterator[Foreign | Unreadable]:
        try:
            if media_type(headers) == JSON:
                yield from read_json(self._kind, body)
            else:
                yield from read_protobuf(self._kind, body, mapping.pointers(self.name) if mapping else EVERYTHING)
        except MalformedRequest as error:
            raise IngestProblem("malformed-body", str(error)) from None

    def answer(self, headers: Headers, outcome: Outcome) -> Response:
        rejected = outcome.verdict.rejected
        if is_outside_scope(outcome.verdict):
            raise IngestProblem("outside-scope", rejected[0].detail)
        kind = media_type(headers)
        body = export_response(self._kind.name, (event.detail for event in rejected), is_json=kind == JSON)
        return Response(body, 200, dict(outcome.quota), media_type=kind)

    def answer_problem(self, headers: Headers, problem: IngestProblem) -> Response:
        kind = PROTOBUF if media_type(headers) == PROTOBUF else JSON
        status, answered = problem.status, dict(problem.headers or {})
        if status == 408:  # of the statuses for a slow body, exporters repeat only this one
            status, answered["Retry-After"] = 503, str(RETRY_SOON_S)
        body = status_body(status, str(problem), is_json=kind == JSON)
        return Response(body, status, answered, media_type=kind)


def media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
