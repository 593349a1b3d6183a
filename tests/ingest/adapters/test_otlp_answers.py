"""The bodies that OTLP exporters parse."""

import json

import pytest
from google.rpc.status_pb2 import Status
from ingest.adapters.otlp.answers import export_response, status_body
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

REASONS = ["rule `calls`: /a is missing (feature)", "rule `calls`: /a is missing (feature)", "b", "c", "d", "e"]
TEXT = "rule `calls`: /a is missing (feature); b; c; and 2 other reasons"


@pytest.mark.parametrize("name", ["traces", "logs", "metrics"])
def test_a_full_success_is_an_empty_message(name: str) -> None:
    assert export_response(name, [], is_json=False) == b""
    assert export_response(name, [], is_json=True) == b"{}"


@pytest.mark.parametrize(
    ("name", "message", "field", "json_field"),
    [
        ("traces", ExportTraceServiceResponse, "rejected_spans", "rejectedSpans"),
        ("logs", ExportLogsServiceResponse, "rejected_log_records", "rejectedLogRecords"),
        ("metrics", ExportMetricsServiceResponse, "rejected_data_points", "rejectedDataPoints"),
    ],
)
def test_a_partial_success_counts_and_names_the_rejected(name: str, message: type, field: str, json_field: str) -> None:
    answer = message.FromString(export_response(name, REASONS, is_json=False))  # type: ignore[attr-defined]
    assert getattr(answer.partial_success, field) == 6
    assert answer.partial_success.error_message == TEXT
    body = json.loads(export_response(name, REASONS, is_json=True))
    assert body == {"partialSuccess": {json_field: "6", "errorMessage": TEXT}}


def test_a_refusal_is_a_status() -> None:
    assert Status.FromString(status_body(401, "no key", is_json=False)) == Status(code=16, message="no key")
    assert json.loads(status_body(503, "later", is_json=True)) == {"code": 14, "message": "later"}
