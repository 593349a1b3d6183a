"""Reads the body of an OTLP request, protobuf or JSON, into signals. Pure.

A request is split into signals first, and each signal is decoded when it is needed, so that a crafted body creates few
objects at a time.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from google.protobuf.message import DecodeError
from msgspec import Raw
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ingest.adapters.otlp import json_form
from ingest.adapters.otlp.values import json_attributes, json_value, protobuf_attributes, protobuf_value
from ingest.adapters.otlp.views import (
    Attributes,
    Form,
    Signal,
    bytes_id,
    log_signal,
    metric_signals,
    span_signal,
    text_id,
)
from ingest.adapters.otlp.wire import MalformedWire, TooManyFields, split_signals, without_long_fields

SIGNALS_MAX = 50_000
"""Spans, log records or metrics of a request, with their resources and scopes. Collectors send 8,192 by default."""
LONG_SIGNAL = 256 * 1024
"""A span or log record above this has long texts inside, which are left out before it is decoded."""
FIELD_BYTES_MAX = 2 * 1024
FIELDS_MAX = 4096
SIGNAL_BYTES_MAX = 1024 * 1024
"""Limit of one signal without its long texts, and of a metric."""
JSON_PARTS_MAX = 1_000_000
"""Commas of a JSON body. A span with 30 attributes has about 75."""
JSON_SIGNAL_PARTS_MAX = 50_000

MALFORMED = (
    MalformedWire,
    TooManyFields,
    DecodeError,
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
    ValueError,
)
Group = tuple[Attributes, dict[str, Any], Iterable[Any]]


class MalformedRequest(ValueError):
    """The body is not a request of this kind, or beyond its limits."""


class Kind(NamedTuple):
    """One of the three kinds of request."""

    name: str
    """As in the path: traces, logs or metrics."""
    request: str
    message: Any
    json_decoder: msgspec.json.Decoder[Any]
    groups: str
    scopes: str
    members: str
    signals: Callable[[Any, Attributes, dict[str, Any], Form], Iterable[Signal]]


def _one(read: Callable[..., Signal]) -> Callable[..., Iterable[Signal]]:
    return lambda *arguments: (read(*arguments),)


def _lax(json_type: Any) -> msgspec.json.Decoder[Any]:
    """A decoder that takes int64 as text too, as JSON of protobuf has it."""
    return msgspec.json.Decoder(json_type, strict=False)


TRACES = Kind(
    name="traces",
    request="ExportTraceServiceRequest",
    message=Span,
    json_decoder=_lax(json_form.Span),
    groups="resource_spans",
    scopes="scope_spans",
    members="spans",
    signals=_one(span_signal),
)
LOGS = Kind(
    name="logs",
    request="ExportLogsServiceRequest",
    message=LogRecord,
    json_decoder=_lax(json_form.LogRecord),
    groups="resource_logs",
    scopes="scope_logs",
    members="log_records",
    signals=_one(log_signal),
)
METRICS = Kind(
    name="metrics",
    request="ExportMetricsServiceRequest",
    message=Metric,
    json_decoder=_lax(json_form.Metric),
    groups="resource_metrics",
    scopes="scope_metrics",
    members="metrics",
    signals=metric_signals,
)
PROTOBUF = Form(protobuf_attributes, protobuf_value, bytes_id)
JSON = Form(json_attributes, json_value, text_id)
_request = _lax(json_form.ExportRequest)


def read_signals(kind: Kind, body: bytes, *, is_json: bool) -> Iterator[Signal]:
    """The signals of a request, in its order. Raises MalformedRequest, at any signal."""
    form, groups = (JSON, _json_groups(kind, body)) if is_json else (PROTOBUF, _protobuf_groups(kind, body))
    left = SIGNALS_MAX
    try:
        for resource, scope, messages in groups:
            for message in messages:
                for signal in kind.signals(message, resource, scope, form):
                    if not left:
                        raise MalformedRequest(f"more than {SIGNALS_MAX} signals")
                    left -= 1
                    yield signal
    except MalformedRequest:
        raise
    except MALFORMED as error:
        raise MalformedRequest(f"not an {kind.request}: {error}") from None


def _protobuf_groups(kind: Kind, body: bytes) -> Iterator[Group]:
    for resource, scopes in split_signals(body, SIGNALS_MAX):
        attributes = protobuf_attributes(Resource.FromString(_short(resource)).attributes)
        for scope, signals in scopes:
            yield (
                attributes,
                _scope(InstrumentationScope.FromString(_short(scope)), PROTOBUF),
                (kind.message.FromString(_short(signal, strip=kind is not METRICS)) for signal in signals),
            )


def _short(message: bytes, *, strip: bool = True) -> bytes:
    """The message, without its long fields if it is long."""
    if len(message) > LONG_SIGNAL and strip:
        message = without_long_fields(message, FIELD_BYTES_MAX, FIELDS_MAX)
    if len(message) > SIGNAL_BYTES_MAX:
        raise MalformedRequest(f"one signal has more than {SIGNAL_BYTES_MAX} bytes")
    return message


def _json_groups(kind: Kind, body: bytes) -> Iterator[Group]:
    # Parsing an array of a million numbers would take much memory before it is refused.
    if body.count(b",") > JSON_PARTS_MAX:
        raise MalformedRequest(f"more than {JSON_PARTS_MAX} commas")
    request = _request.decode(body)
    decode = kind.json_decoder.decode
    for group in getattr(request, kind.groups) or ():
        attributes = json_attributes(group.resource.attributes if group.resource else None)
        for inner in getattr(group, kind.scopes) or ():
            scope = _scope(inner.scope or json_form.Scope(), JSON)
            yield attributes, scope, (decode(_bounded(raw)) for raw in getattr(inner, kind.members) or ())


def _bounded(signal: Raw) -> Raw:
    if len(bytes_ := bytes(signal)) > LONG_SIGNAL and bytes_.count(b",") > JSON_SIGNAL_PARTS_MAX:
        raise MalformedRequest(f"one signal has more than {JSON_SIGNAL_PARTS_MAX} commas")
    return signal


def _scope(scope: Any, form: Form) -> dict[str, Any]:
    return {
        "name": scope.name or "",
        "version": scope.version or "",
        "attributes": form.attributes(scope.attributes),
    }
