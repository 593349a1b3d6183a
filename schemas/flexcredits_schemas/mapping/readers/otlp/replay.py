"""The OTLP request that gives one view again, for dead letters that are sent a second time. Pure."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from flexcredits_schemas.mapping.readers.otlp.values import EPOCH, SPAN_KINDS, STATUSES, TEMPORALITIES, Value

_encoder = msgspec.json.Encoder(decimal_format="number")


def request_of(view: dict[str, Any]) -> bytes:
    """An OTLP request in JSON with the signal of the view alone. What views leave out is not in it."""
    scope = view["scope"]
    inside: dict[str, Any] = {"scope": {**scope, "attributes": key_values(scope["attributes"])}}
    if "span" in view:
        groups, scopes, inside["spans"] = "resourceSpans", "scopeSpans", [span_of(view["span"])]
    elif "log" in view:
        groups, scopes, inside["logRecords"] = "resourceLogs", "scopeLogs", [record_of(view["log"])]
    else:
        groups, scopes, inside["metrics"] = (
            "resourceMetrics",
            "scopeMetrics",
            [metric_of(view["metric"], view["point"])],
        )
    group = {"resource": {"attributes": key_values(view["resource"])}, scopes: [inside]}
    return _encoder.encode({groups: [group]})


def span_of(span: dict[str, Any]) -> dict[str, Any]:
    return {
        "traceId": span["trace_id"],
        "spanId": span["span_id"],
        "parentSpanId": span["parent_span_id"] or "",
        "name": span["name"],
        "kind": number_of(SPAN_KINDS, span["kind"]),
        "startTimeUnixNano": nanoseconds(span["start"]),
        "endTimeUnixNano": nanoseconds(span["end"]),
        "status": {"code": number_of(STATUSES, span["status"])},
        "attributes": key_values(span["attributes"]),
    }


def record_of(log: dict[str, Any]) -> dict[str, Any]:
    return {
        "eventName": log["event_name"] or "",
        "timeUnixNano": nanoseconds(log["time"]),
        "severityNumber": log["severity_number"],
        "severityText": log["severity_text"],
        "body": None if log["body"] is None else any_value(log["body"]),
        "traceId": log["trace_id"] or "",
        "spanId": log["span_id"] or "",
        "attributes": key_values(log["attributes"]),
    }


def metric_of(metric: dict[str, Any], point: dict[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {
        "startTimeUnixNano": nanoseconds(point["start"]),
        "timeUnixNano": nanoseconds(point["time"]),
        "attributes": key_values(point["attributes"]),
    }
    if "count" in point:
        written |= {"count": str(point["count"]), "sum": point["sum"]}
    elif isinstance(point["value"], int):
        written["asInt"] = str(point["value"])
    else:
        written["asDouble"] = point["value"]
    first, *rest = metric["type"].split("_")
    return {
        "name": metric["name"],
        "unit": metric["unit"],
        first + "".join(word.title() for word in rest): {
            "dataPoints": [written],
            "aggregationTemporality": number_of(TEMPORALITIES, metric["temporality"]),
            "isMonotonic": metric["monotonic"],
        },
    }


def key_values(attributes: dict[str, Value]) -> list[dict[str, Any]]:
    return [{"key": name, "value": any_value(value)} for name, value in attributes.items()]


def any_value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case Decimal():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
    return {"kvlistValue": {"values": key_values(value)}}


def number_of(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else int(name)


def nanoseconds(instant: str | None) -> str:
    """Nanoseconds since 1970 of an instant of a view, as text; "0" if it is missing."""
    if instant is None:
        return "0"
    since = datetime.fromisoformat(instant) - EPOCH
    return str(((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000)
