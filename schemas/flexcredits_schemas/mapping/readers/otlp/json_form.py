"""The JSON of OTLP requests as types: lowerCamelCase names, ids in hex, int64 as text or number, unknown fields skipped.

The same attribute names as protobuf's classes, so that one view serves both. (OTLP 1.5, "JSON Protobuf Encoding")
"""

from msgspec import Raw, Struct


class ArrayValue(Struct, gc=False):
    """Its values are not read."""


class KeyValueList(Struct, gc=False):
    values: "list[KeyValue] | None" = None


class AnyValue(Struct, rename="camel", gc=False):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | None = None
    kvlist_value: KeyValueList | None = None


class KeyValue(Struct, gc=False):
    key: str | None = None
    value: AnyValue | None = None


class Resource(Struct, gc=False):
    attributes: list[KeyValue] | None = None


class Scope(Struct, gc=False):
    name: str | None = None
    version: str | None = None
    attributes: list[KeyValue] | None = None


class Status(Struct, gc=False):
    code: int | None = None


class Span(Struct, rename="camel", gc=False):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | None = None
    start_time_unix_nano: int | None = None
    end_time_unix_nano: int | None = None
    attributes: list[KeyValue] | None = None
    status: Status | None = None


class LogRecord(Struct, rename="camel", gc=False):
    time_unix_nano: int | None = None
    observed_time_unix_nano: int | None = None
    severity_number: int | None = None
    severity_text: str | None = None
    body: AnyValue | None = None
    attributes: list[KeyValue] | None = None
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None


class NumberPoint(Struct, rename="camel", gc=False):
    attributes: list[KeyValue] | None = None
    start_time_unix_nano: int | None = None
    time_unix_nano: int | None = None
    as_int: int | None = None
    as_double: float | None = None


class HistogramPoint(Struct, rename="camel", gc=False):
    attributes: list[KeyValue] | None = None
    start_time_unix_nano: int | None = None
    time_unix_nano: int | None = None
    count: int | None = None
    sum: float | None = None


class Sum(Struct, rename="camel", gc=False):
    data_points: list[NumberPoint] | None = None
    aggregation_temporality: int | None = None
    is_monotonic: bool | None = None


class Gauge(Struct, rename="camel", gc=False):
    data_points: list[NumberPoint] | None = None


class Histogram(Struct, rename="camel", gc=False):
    data_points: list[HistogramPoint] | None = None
    aggregation_temporality: int | None = None


class Metric(Struct, rename="camel", gc=False):
    name: str | None = None
    unit: str | None = None
    sum: Sum | None = None
    gauge: Gauge | None = None
    histogram: Histogram | None = None
    exponential_histogram: Histogram | None = None


class ScopeSignals(Struct, rename="camel", gc=False):
    scope: Scope | None = None
    spans: list[Raw] | None = None
    log_records: list[Raw] | None = None
    metrics: list[Raw] | None = None


class ResourceSignals(Struct, rename="camel", gc=False):
    resource: Resource | None = None
    scope_spans: list[ScopeSignals] | None = None
    scope_logs: list[ScopeSignals] | None = None
    scope_metrics: list[ScopeSignals] | None = None


class ExportRequest(Struct, rename="camel", gc=False):
    """The body of any of the three requests."""

    resource_spans: list[ResourceSignals] | None = None
    resource_logs: list[ResourceSignals] | None = None
    resource_metrics: list[ResourceSignals] | None = None
