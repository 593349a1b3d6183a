"""What real OpenTelemetry exporters sent (tests/ingest/recorded/otlp), for sending it again."""

import time
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

RECORDED = Path(__file__).parents[2] / "ingest" / "recorded" / "otlp"
REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}


def recorded(name: str) -> bytes:
    """The recorded bytes in protobuf, with the present as their times: usage has at most 400 days."""
    kind = name.split(".")[-2]
    message, now = REQUESTS[kind].FromString((RECORDED / name).read_bytes()), time.time_ns()
    for group in message.ListFields()[0][1]:
        for scope in next(value for field, value in group.ListFields() if field.name.startswith("scope_")):
            for signal in next(value for field, value in scope.ListFields() if field.is_repeated):
                for part in signal.sum.data_points if kind == "metrics" else [signal]:
                    for field, _ in part.ListFields():
                        if field.name.endswith("time_unix_nano"):
                            setattr(part, field.name, now)
    return bytes(message.SerializeToString())
