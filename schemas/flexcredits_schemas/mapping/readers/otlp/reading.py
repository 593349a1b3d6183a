"""Reads OTLP requests in JSON: the signals of a body, or the one that a mapping is tried on. Pure.

A request is split into signals first, and each signal is decoded when it is needed, so that a crafted body creates few
objects at a time.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from flexcredits_schemas.mapping.foreign import Foreign, Unreadable
from flexcredits_schemas.mapping.readers.otlp import json_form
from flexcredits_schemas.mapping.readers.otlp.replay import request_of
from flexcredits_schemas.mapping.readers.otlp.values import attributes_of
from flexcredits_schemas.mapping.readers.otlp.views import (
    JSON,
    Attributes,
    Form,
    Signal,
    log_signal,
    metric_signals,
    scope_of,
    span_signal,
)

SIGNALS_MAX = 50_000
"""Spans, log records or points of a request. Collectors send 8,192 by default."""
LONG_SIGNAL = 256 * 1024
PARTS_MAX = 1_000_000
"""Commas of a JSON body. A span with 30 attributes has about 75."""
SIGNAL_PARTS_MAX = 50_000
"""Commas of a signal that is longer than LONG_SIGNAL."""
GROUPS = ("resourceSpans", "resourceLogs", "resourceMetrics")

Group = tuple[Attributes, dict[str, Any], Iterable[tuple[Any, Attributes]]]
"""Attributes of the resource, the scope, and its messages with their attributes, which metrics have in their points."""


class MalformedRequest(ValueError):
    """The body is not a request of this kind, or beyond its limits."""


class Kind(NamedTuple):
    """One of the three kinds of request. `name` is in the path; `groups`, `scopes` and `members` are attributes."""

    name: str
    request: str
    decoder: msgspec.json.Decoder[Any]
    groups: str
    scopes: str
    members: str
    signal: Callable[[Any, Attributes, Attributes, dict[str, Any], Form], Signal | Unreadable] | None
    """The signal of a message; None for metrics, which have a signal for each point."""


def _lax(json_type: Any) -> msgspec.json.Decoder[Any]:
    """A decoder that takes int64 as text too, as JSON of protobuf has it."""
    return msgspec.json.Decoder(json_type, strict=False)


TRACES = Kind(
    name="traces",
    request="ExportTraceServiceRequest",
    decoder=_lax(json_form.Span),
    groups="resource_spans",
    scopes="scope_spans",
    members="spans",
    signal=span_signal,
)
LOGS = Kind(
    name="logs",
    request="ExportLogsServiceRequest",
    decoder=_lax(json_form.LogRecord),
    groups="resource_logs",
    scopes="scope_logs",
    members="log_records",
    signal=log_signal,
)
METRICS = Kind(
    name="metrics",
    request="ExportMetricsServiceRequest",
    decoder=_lax(json_form.Metric),
    groups="resource_metrics",
    scopes="scope_metrics",
    members="metrics",
    signal=None,
)
_request = _lax(json_form.ExportRequest)


def read_json(kind: Kind, body: bytes) -> Iterator[Signal | Unreadable]:
    """The signals of a request in JSON, in its order. Raises MalformedRequest, at any signal."""
    try:
        yield from read_groups(kind, split_json(kind, body), JSON)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MalformedRequest(f"not an {kind.request} in JSON: {error}") from None


def read_groups(kind: Kind, groups: Iterable[Group], form: Form) -> Iterator[Signal | Unreadable]:
    """The signals of the messages. Raises MalformedRequest."""
    read, left = kind.signal, SIGNALS_MAX
    for resource, scope, messages in groups:
        for message, attributes in messages:
            signals = (
                (read(message, attributes, resource, scope, form),)
                if read
                else metric_signals(message, resource, scope, form)
            )
            for signal in signals:
                if not left:
                    raise MalformedRequest(f"more than {SIGNALS_MAX} signals")
                left -= 1
                yield signal


def split_json(kind: Kind, body: bytes) -> Iterator[Group]:
    # Parsing an array of a million numbers would take much memory before it is refused.
    if body.count(b",") > PARTS_MAX:
        raise MalformedRequest(f"more than {PARTS_MAX} commas")
    request = _request.decode(body)
    for group in getattr(request, kind.groups) or ():
        resource = attributes_of(group.resource.attributes if group.resource else None)
        for inner in getattr(group, kind.scopes) or ():
            scope = scope_of(inner.scope or json_form.Scope(), JSON)
            yield resource, scope, decode_json(kind, getattr(inner, kind.members) or ())


def decode_json(kind: Kind, messages: Iterable[Raw]) -> Iterator[tuple[Any, Attributes]]:
    for raw in messages:
        message = kind.decoder.decode(check_parts(raw))
        yield message, {} if kind is METRICS else attributes_of(message.attributes)


def check_parts(message: Raw) -> bytes:
    signal = bytes(message)
    if len(signal) > LONG_SIGNAL and signal.count(b",") > SIGNAL_PARTS_MAX:
        raise MalformedRequest(f"one signal has more than {SIGNAL_PARTS_MAX} commas")
    return signal


def read_one(kind: Kind, event: Any, raw: bytes, received_at: datetime) -> Foreign | Unreadable:
    """The first signal of a request in JSON, or the signal of a view, to try a mapping on."""
    try:
        if not isinstance(event, dict) or not any(name in event for name in GROUPS):
            raw = request_of(event)
        signal = next(read_json(kind, raw), None)
    except MalformedRequest as error:
        return Unreadable(None, "", str(error), raw)
    except (TypeError, KeyError, AttributeError, ValueError):
        return Unreadable(None, "", f"neither an {kind.request} in JSON nor a view of one signal", raw)
    return signal or Unreadable(None, "", f"no {kind.members} in the request", raw)


def read_trace(event: Any, raw: bytes, received_at: datetime) -> Foreign | Unreadable:
    return read_one(TRACES, event, raw, received_at)


def read_log(event: Any, raw: bytes, received_at: datetime) -> Foreign | Unreadable:
    return read_one(LOGS, event, raw, received_at)


def read_metric(event: Any, raw: bytes, received_at: datetime) -> Foreign | Unreadable:
    return read_one(METRICS, event, raw, received_at)
