"""Spans, log records and metric points as the flat JSON that mappings point into. Pure.

docs/clients.md describes the three views. The same code reads protobuf's classes and those of json_form.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from flexcredits_schemas.mapping.foreign import Foreign, Unreadable
from flexcredits_schemas.mapping.readers.otlp.replay import request_of
from flexcredits_schemas.mapping.readers.otlp.values import (
    EPOCH,
    SPAN_KINDS,
    STATUSES,
    TEMPORALITIES,
    Value,
    attributes_of,
    exact,
    value_of,
)
from flexcredits_schemas.mapping.readers.times import of_microseconds

Attributes = dict[str, Value]
SOURCE = "otlp"
LATEST_NS = 250_000_000_000 * 1_000_000_000
"""In a year that datetime has; uint64 nanoseconds end in 2554 anyway."""
CUMULATIVE = (
    "a cumulative point repeats what earlier points counted: export deltas "
    "(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta), or count spans or log records"
)
GAUGE = "a gauge is a level at one time, not an amount that adds up"
NO_INTERVAL = "a point without start and time has no identity"
_canonical = msgspec.json.Encoder(order="deterministic", decimal_format="number")


class Signal(Foreign):
    """A span, log record or metric point. Most are ignored, so its JSON is written only when it is needed."""

    __slots__ = ()

    @property
    def raw(self) -> bytes:
        return request_of(self.event)


class Form(NamedTuple):
    """How the parts of a message are read: protobuf has bytes where JSON has hex, and other classes for attributes."""

    attributes: Callable[[Any], Attributes]
    value: Callable[[Any], Value | None]
    hex_id: Callable[[Any, int], str]


def text_id(value: str | None, size: int) -> str:
    """A trace or span id of `size` bytes in lower case hex; "" if it is missing or invalid."""
    text = (value or "").lower()
    if len(text) != 2 * size or text.strip("0123456789abcdef") or not text.strip("0"):
        return ""
    return text


JSON = Form(attributes_of, value_of, text_id)


def scope_of(scope: Any, form: Form) -> dict[str, Any]:
    return {
        "name": scope.name or "",
        "version": scope.version or "",
        "attributes": form.attributes(scope.attributes),
    }


# Identities depend on nothing that replay.py cannot write, so that a dead letter that is sent again keeps its own.


def span_signal(
    span: Any, attributes: Attributes, resource: Attributes, scope: dict[str, Any], form: Form
) -> Signal | Unreadable:
    hex_id, status = form.hex_id, span.status
    trace_id, span_id = hex_id(span.trace_id, 16), hex_id(span.span_id, 8)
    start = microseconds(span.start_time_unix_nano)
    end = microseconds(span.end_time_unix_nano) or start
    view = {
        "name": span.name or "",
        "kind": name_of(SPAN_KINDS, span.kind),
        "start": instant(start),
        "end": instant(end),
        "trace_id": trace_id,
        "span_id": span_id,
        "parent_span_id": hex_id(span.parent_span_id, 8) or None,
        "status": name_of(STATUSES, status.code if status else 0),
        "attributes": attributes,
    }
    event = {"resource": resource, "scope": scope, "span": view}
    if not trace_id or not span_id:
        pointer = "/span/span_id" if trace_id else "/span/trace_id"
        return Unreadable(None, pointer, "a span has a trace id of 16 bytes and a span id of 8", request_of(event))
    return Signal(event, f"{trace_id}/{span_id}", SOURCE, of_microseconds(end), b"")


def log_signal(record: Any, attributes: Attributes, resource: Attributes, scope: dict[str, Any], form: Form) -> Signal:
    """Its identity is a hash of what the application wrote: a span can contain several records of one name, and a
    collector on the way may change the resource and the observed time."""
    time = microseconds(record.time_unix_nano) or microseconds(record.observed_time_unix_nano)
    view = {
        # Rust's appender writes a file's name and line into the field, and the application's name into the attribute.
        "event_name": attributes.get("event.name") or record.event_name or None,
        "time": instant(time),
        "severity_number": record.severity_number or 0,
        "severity_text": record.severity_text or "",
        "body": form.value(record.body) if record.body else None,
        "trace_id": form.hex_id(record.trace_id, 16) or None,
        "span_id": form.hex_id(record.span_id, 8) or None,
        "attributes": attributes,
    }
    event = {"resource": resource, "scope": scope, "log": view}
    return Signal(event, f"log/{digest(view)}", SOURCE, of_microseconds(time), b"")


def metric_signals(metric: Any, resource: Attributes, scope: dict[str, Any], form: Form) -> Iterator[Signal]:
    """A signal for each point. Its identity is the series (resource, scope, metric, attributes) and the interval: not
    the value, so that another value for one interval is a conflict and not a second use."""
    for kind in ("sum", "gauge", "histogram", "exponential_histogram"):
        data = metric.HasField(kind) and getattr(metric, kind) if hasattr(metric, "HasField") else getattr(metric, kind)
        if not data:
            continue
        view = {
            "name": metric.name or "",
            "unit": metric.unit or "",
            "type": kind,
            "temporality": name_of(TEMPORALITIES, getattr(data, "aggregation_temporality", 0)),
            "monotonic": bool(getattr(data, "is_monotonic", kind == "histogram")),
        }
        for point in data.data_points or ():
            attributes = form.attributes(point.attributes)
            start, time = microseconds(point.start_time_unix_nano), microseconds(point.time_unix_nano)
            inside = {"start": instant(start), "time": instant(time), **amounts(point, kind), "attributes": attributes}
            series = [resource, scope["name"], view["name"], view["type"], attributes, inside["start"], inside["time"]]
            event = {"resource": resource, "scope": scope, "metric": view, "point": inside}
            why_not = "" if start and time else NO_INTERVAL
            if view["temporality"] != "delta":
                why_not = GAUGE if kind == "gauge" else CUMULATIVE
            yield Signal(event, f"metric/{digest(series)}", SOURCE, of_microseconds(time), b"", uncountable=why_not)


def amounts(point: Any, kind: str) -> dict[str, Any]:
    """`value` of a sum or gauge; `count` and `sum` of a histogram."""
    if "histogram" in kind:
        return {"count": int(point.count or 0), "sum": exact(point.sum) if point.sum is not None else None}
    if hasattr(point, "WhichOneof"):
        chosen = point.WhichOneof("value")
        value = getattr(point, chosen) if chosen else None
    else:
        value = point.as_int if point.as_int is not None else point.as_double
    return {"value": exact(value) if isinstance(value, float) else value}


def name_of(names: tuple[str, ...], number: int | None) -> str:
    """The name of an enumeration's member; the number itself if it is of a later version."""
    number = number or 0
    return names[number] if 0 <= number < len(names) else str(number)


def microseconds(nanoseconds: int | None) -> int:
    """Microseconds since 1970, which is as fine as usage is; 0 if the time is missing."""
    if not nanoseconds or nanoseconds < 0:
        return 0
    return min(nanoseconds, LATEST_NS) // 1000


def instant(microseconds: int) -> str | None:
    """RFC 3339 in UTC; None if the time is missing."""
    if not microseconds:
        return None
    return f"{_second(microseconds // 1_000_000)}.{microseconds % 1_000_000:06}Z"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def digest(value: Any) -> str:
    """128 bits of BLAKE2b of the value as canonical JSON."""
    return blake2b(_canonical.encode(value), digest_size=16).hexdigest()
