"""Bodies of OTLP's answers, in the content type of the request. Pure. (OTLP 1.5, "OTLP/HTTP Response")"""

from collections.abc import Iterable
from typing import Any

import msgspec
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

PROTOBUF, JSON = "application/x-protobuf", "application/json"
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 408: 4, 413: 3, 415: 3, 422: 3, 429: 8, 500: 13, 503: 14}
"""Codes of google.rpc by HTTP status: INVALID_ARGUMENT, UNAUTHENTICATED, PERMISSION_DENIED, ..."""
REASONS_MAX = 3
_RESPONSES: dict[str, tuple[Any, str, str]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
}


def export_response(name: str, reasons: Iterable[str], *, is_json: bool) -> bytes:
    """An Export...ServiceResponse for traces, logs or metrics; `reasons` has one text for each rejected signal."""
    reasons = list(reasons)
    message, field, json_field = _RESPONSES[name]
    if not reasons:
        return b"{}" if is_json else b""
    text = sentence(reasons)
    if is_json:  # int64 is text in JSON
        return msgspec.json.encode({"partialSuccess": {json_field: str(len(reasons)), "errorMessage": text}})
    response = message()
    setattr(response.partial_success, field, len(reasons))
    response.partial_success.error_message = text
    return bytes(response.SerializeToString())


def sentence(reasons: list[str]) -> str:
    """The first different reasons, each once, and how many more there are."""
    different = list(dict.fromkeys(reasons))
    more = len(different) - REASONS_MAX
    return "; ".join(different[:REASONS_MAX]) + (f"; and {more} other reasons" if more > 0 else "")


def status_body(http_status: int, text: str, *, is_json: bool) -> bytes:
    """A google.rpc.Status, as the body of every answer of 400 and above."""
    code = CODES.get(http_status, 2)
    if is_json:
        return msgspec.json.encode({"code": code, "message": text})
    return bytes(Status(code=code, message=text).SerializeToString())
