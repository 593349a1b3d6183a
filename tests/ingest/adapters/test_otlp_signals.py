"""Reading OTLP requests, protobuf and JSON, into the views that mappings point into."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from flexcredits_schemas.mapping.foreign import Unreadable
from flexcredits_schemas.mapping.readers.otlp.reading import (
    LOGS,
    METRICS,
    SIGNALS_MAX,
    TRACES,
    Kind,
    MalformedRequest,
    read_json,
)
from flexcredits_schemas.mapping.readers.otlp.views import Signal
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from ingest.adapters.otlp.attributes import protobuf_attributes, read_pair
from ingest.adapters.otlp.protobuf import read_protobuf
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

TRACE, SPAN, PARENT = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b173"
START, END = 1_796_000_000_123_456_789, 1_796_000_001_000_000_000
KINDS = (TRACES, LOGS, METRICS)
Pairs = dict[str, Any]


def add_attributes(target: Any, pairs: Pairs) -> None:
    for name, value in pairs.items():
        set_value(target.add(key=name).value, value)


def set_value(target: Any, value: Any) -> None:
    match value:
        case bool():
            target.bool_value = value
        case int():
            target.int_value = value
        case float():
            target.double_value = value
        case str():
            target.string_value = value
        case bytes():
            target.bytes_value = value
        case list():
            target.array_value.SetInParent()
            for item in value:
                set_value(target.array_value.values.add(), item)
        case dict():
            target.kvlist_value.SetInParent()
            add_attributes(target.kvlist_value.values, value)


def trace_request(*attributes: Pairs, resource: Pairs | None = None) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    add_attributes(group.resource.attributes, resource or {"service.name": "shop"})
    scope = group.scope_spans.add()
    scope.scope.name, scope.scope.version = "my.library", "1.2"
    for number, pairs in enumerate(attributes):
        span = scope.spans.add(name="chat gpt-5", kind=3, start_time_unix_nano=START, end_time_unix_nano=END)
        span.trace_id, span.span_id = bytes.fromhex(TRACE), (int(SPAN, 16) + number).to_bytes(8, "big")
        span.parent_span_id = bytes.fromhex(PARENT)
        span.status.code = 1
        add_attributes(span.attributes, pairs)
    return request


def log_request(**fields: Any) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    add_attributes(group.resource.attributes, fields.pop("resource", {"service.name": "claude-code"}))
    record = group.scope_logs.add().log_records.add(time_unix_nano=START)
    add_attributes(record.attributes, fields.pop("attributes", {"event.name": "api_request", "input_tokens": 5}))
    for name, value in fields.items():
        set_value(record.body, value) if name == "body" else setattr(record, name, value)
    return request


def metric_request(value: float = 10, temporality: int = 1, **attributes: Any) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    metric = metrics.add(name="claude_code.token.usage", unit="tokens")
    metric.sum.aggregation_temporality, metric.sum.is_monotonic = temporality, True
    point = metric.sum.data_points.add(start_time_unix_nano=START, time_unix_nano=END)
    if isinstance(value, float):
        point.as_double = value
    else:
        point.as_int = value
    add_attributes(point.attributes, attributes)
    histogram = metrics.add(name="codex.turn.token_usage")
    histogram.histogram.aggregation_temporality = 2
    histogram.histogram.data_points.add(start_time_unix_nano=START, time_unix_nano=END, count=2, sum=1.5)
    return request


def as_json(message: Any, **change: Any) -> bytes:
    """OTLP's JSON of a message: written by hand, because protobuf's own JSON has base64 and names of enumerations."""
    return json.dumps(to_json(message) | change).encode()


def to_json(message: Any) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for field, value in message.ListFields():
        many = value if field.is_repeated else [value]
        if field.message_type:
            many = [to_json(one) for one in many]
        elif isinstance(many[0], bytes):
            many = [one.hex().upper() for one in many]
        elif field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64) and field.name != "int_value":
            many = [str(one) for one in many]
        members[field.json_name] = list(many) if field.is_repeated else many[0]
    return members


def read_all(kind: Kind, body: bytes, *, is_json: bool = False) -> list[Signal | Unreadable]:
    return list(read_json(kind, body) if is_json else read_protobuf(kind, body))


def read(kind: Kind, body: bytes, *, is_json: bool = False) -> list[Signal]:
    signals = read_all(kind, body, is_json=is_json)
    assert all(isinstance(signal, Signal) for signal in signals)
    return signals  # type: ignore[return-value]


def read_one(kind: Kind, request: Any) -> Signal:
    """The signal of a request, which protobuf and JSON agree in."""
    signal = read(kind, request.SerializeToString())[0]
    assert read(kind, as_json(request), is_json=True)[0] == signal
    return signal


def test_a_span_is_shown_with_its_resource_and_scope() -> None:
    signal = read_one(TRACES, trace_request({"gen_ai.usage.input_tokens": 5, "a/b~c": "x", "cost": 0.1, "on": True}))
    assert signal.id == f"{TRACE}/{SPAN}"
    assert signal.time == datetime.fromtimestamp(END // 10**9, UTC)
    assert signal.event == {
        "resource": {"service.name": "shop"},
        "scope": {"name": "my.library", "version": "1.2", "attributes": {}},
        "span": {
            "name": "chat gpt-5",
            "kind": "client",
            "start": f"{datetime.fromtimestamp(START // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.123456Z",
            "end": f"{datetime.fromtimestamp(END // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.000000Z",
            "trace_id": TRACE,
            "span_id": SPAN,
            "parent_span_id": PARENT,
            "status": "ok",
            "attributes": {"gen_ai.usage.input_tokens": 5, "a/b~c": "x", "cost": Decimal("0.1"), "on": True},
        },
    }


def test_nested_maps_stay_and_arrays_bytes_and_content_are_left_out() -> None:
    deep: Any = {"x": 1}
    for _ in range(30):
        deep = {"deeper": deep}
    attributes = {
        "usage": {"input": {"tokens": 7}},
        "list": ["a"],
        "raw": b"\x00",
        "long": "x" * 1001,
        "gen_ai.prompt.0.content": "secret",
        "gen_ai.input.messages": "secret",
        "response_text": "secret",
        "nan": float("nan"),
        "deep": deep,
    }
    found = read(TRACES, trace_request(attributes).SerializeToString())[0].event["span"]["attributes"]
    assert found == {"usage": {"input": {"tokens": 7}}, "deep": {"deeper": {"deeper": {}}}}


def test_a_retried_log_record_keeps_its_identity() -> None:
    first = read_one(LOGS, log_request(body="claude_code.api_request", trace_id=bytes.fromhex(TRACE)))
    again = log_request(
        body="claude_code.api_request",
        trace_id=bytes.fromhex(TRACE),
        observed_time_unix_nano=END,
        resource={"service.name": "claude-code", "collector": "eu"},
    )
    assert read_one(LOGS, again).id == first.id
    assert first.event["log"]["event_name"] == "api_request"
    others: list[dict[str, Any]] = [
        {"body": "other"},
        {"time_unix_nano": START + 1},
        {"attributes": {"event.name": "api_request", "input_tokens": 6}},
    ]
    assert len({read_one(LOGS, log_request(**other)).id for other in others} | {first.id}) == 4


def test_the_name_of_an_event_is_the_attribute_then_the_field() -> None:
    assert read_one(LOGS, log_request(event_name="event a.rs:7")).event["log"]["event_name"] == "api_request"
    assert read_one(LOGS, log_request(event_name="mine", attributes={})).event["log"]["event_name"] == "mine"


def test_a_metric_point_is_known_by_its_series_and_interval() -> None:
    first = read_one(METRICS, metric_request(10, type="input"))
    assert first.event["metric"] == {
        "name": "claude_code.token.usage",
        "unit": "tokens",
        "type": "sum",
        "temporality": "delta",
        "monotonic": True,
    }
    assert first.event["point"]["value"] == 10
    assert read_one(METRICS, metric_request(11, type="input")).id == first.id
    assert read_one(METRICS, metric_request(10, type="output")).id != first.id
    assert read_one(METRICS, metric_request(0.25)).event["point"]["value"] == Decimal("0.25")
    _, histogram = read(METRICS, metric_request().SerializeToString())
    assert histogram.event["metric"]["temporality"] == "cumulative"
    assert histogram.event["point"]["sum"] == Decimal("1.5")
    assert histogram.event["point"]["count"] == 2


@pytest.mark.parametrize(
    ("trace", "span"), [(b"", b""), (b"\0" * 16, b"x" * 8), (b"x" * 15, b"x" * 8), (b"x" * 16, b"")]
)
def test_a_span_without_valid_ids_has_no_identity(trace: bytes, span: bytes) -> None:
    request = trace_request({})
    [wrong] = request.resource_spans[0].scope_spans[0].spans
    wrong.trace_id, wrong.span_id = trace, span
    [unreadable] = read_all(TRACES, request.SerializeToString())
    assert [unreadable] == read_all(TRACES, as_json(request), is_json=True)
    assert isinstance(unreadable, Unreadable)
    assert "a span has a trace id of 16 bytes" in unreadable.detail


def test_json_is_read_as_exporters_write_it() -> None:
    span = {
        "traceId": TRACE.upper(),
        "spanId": SPAN,
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": END,
        "kind": 3,
        "flags": 257,
        "links": [{"traceId": TRACE}],
        "events": [],
        "status": {},
        "attributes": [
            {"key": "text", "value": {"intValue": "12"}},
            {"key": "number", "value": {"intValue": 12}},
            {"key": "large", "value": {"intValue": str(2**63 - 1)}},
            {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}]}}},
            {"key": "half", "value": {"doubleValue": "0.5"}},
            {"key": "infinite", "value": {"doubleValue": "-Infinity"}},
            {"key": "nan", "value": {"doubleValue": "NaN"}},
            {"key": "empty"},
            {"key": "null", "value": None},
        ],
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}], "resource_spans": 5, "unknown": [[{}]]}
    [signal] = read(TRACES, json.dumps(body).encode(), is_json=True)
    assert signal.id == f"{TRACE}/{SPAN}"
    assert signal.event["span"]["attributes"] == {"text": 12, "number": 12, "large": 2**63 - 1, "half": Decimal("0.5")}
    assert signal.event["scope"]["name"] == ""


def test_unknown_protobuf_fields_are_skipped() -> None:
    unknown = (
        b"\x98\x06\x01" + b"\xa2\x06\x02hi" + b"\xad\x06\x01\x02\x03\x04" + b"\xb1\x06\x01\x02\x03\x04\x05\x06\x07\x08"
    )
    request = trace_request({"a": 1})
    inner = request.resource_spans[0].SerializeToString() + unknown
    body = unknown + b"\x0a" + varint(len(inner)) + inner + unknown
    assert read(TRACES, body) == read(TRACES, request.SerializeToString())


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_empty_request_is_valid(kind: Kind) -> None:
    assert read(kind, b"") == []
    assert read(kind, b"{}", is_json=True) == []
    assert read(kind, b"\x0a\x00" * 3) == []


def test_the_order_of_fields_does_not_matter() -> None:
    request = trace_request({"a": 1}, resource={"x": "1"})
    scopes = request.resource_spans[0].scope_spans[0].SerializeToString()
    resource = request.resource_spans[0].resource.SerializeToString()
    inner = b"\x12" + varint(len(scopes)) + scopes + b"\x0a" + varint(len(resource)) + resource
    assert read(TRACES, b"\x0a" + varint(len(inner)) + inner) == read(TRACES, request.SerializeToString())


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",
        b"\x0a\x05",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0b",
        b"\x00",
        b"{}",
        b"\x0a\x03\x0a\x05a",
        b"\x09\x01",
    ],
)
def test_what_is_not_protobuf_is_malformed(body: bytes) -> None:
    for kind in KINDS:
        with pytest.raises(MalformedRequest):
            read(kind, body)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"resourceSpans":{}}', b'{"resourceSpans":[{"scopeSpans":[{"spans":[5]}]}]}', b"\xff"]
)
def test_what_is_not_its_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(TRACES, body, is_json=True)


def test_a_span_with_long_prompts_is_read() -> None:
    content = {f"message.{number}": os.urandom(2000).hex() for number in range(500)}
    [signal] = read(TRACES, trace_request({**content, "gen_ai.usage.input_tokens": 5}).SerializeToString())
    assert signal.id == f"{TRACE}/{SPAN}"
    assert signal.event["span"]["attributes"] == {"gen_ai.usage.input_tokens": 5}


def wrap(signal: bytes, levels: int = 3) -> bytes:
    """A request that contains the signal; with fewer levels, a part of one."""
    for tag in (b"\x12", b"\x12", b"\x0a")[3 - levels :]:
        signal = tag + varint(len(signal)) + signal
    return signal


def nested(depth: int) -> bytes:
    value = b""
    for _ in range(depth):  # AnyValue.array_value.values
        value = b"\x0a" + varint(len(value)) + value
        value = b"\x2a" + varint(len(value)) + value
    return value


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x00" * (SIGNALS_MAX + 1),
        wrap(b"\x12\x00" * (SIGNALS_MAX + 1), 1),
        wrap(b"\x12\x00" * (SIGNALS_MAX + 1), 2),
        wrap(b"\x4a\x00" * 5_000_000),
        wrap(b"\x0a" + varint(250_000) + b"\x0a\x00" * 125_000, 1) * 2,
        wrap(
            b"\x4a"
            + varint(len(nested(200)) + 1 + len(varint(len(nested(200)))))
            + b"\x12"
            + varint(len(nested(200)))
            + nested(200)
        ),
    ],
    ids=["groups", "scopes", "spans", "attributes", "resources", "depth"],
)
def test_protobuf_bombs_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(TRACES, body)


def test_a_long_value_is_left_out_before_it_is_parsed() -> None:
    value = b"\x12" + varint(2_000_000) + b"\x0a\x00" * 1_000_000
    span = trace_request({"kept": 1}).resource_spans[0].scope_spans[0].spans[0].SerializeToString()
    [signal] = read(TRACES, wrap(span + b"\x4a" + varint(len(value)) + value))
    assert signal.event["span"]["attributes"] == {"kept": 1}


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceSpans":[' + b"{}," * 1_000_001 + b"{}]}",
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * SIGNALS_MAX + b"{}]}]}]}",
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[' + b"{}," * 400_000 + b"{}]}]}]}]}",
        b'{"unknown":' + b"[" * 1_000_000,
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"unknown":' + b'{"a":' * 100_000,
        b'{"resourceSpans":[{"resource":{"attributes":[' + b'{"value":{"kvlistValue":{"values":[' * 5_000,
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"' + b"9" * 1_000_000 + b'"}]}]}]}',
    ],
    ids=["groups", "spans", "attributes", "depth", "depth-in-span", "depth-of-values", "digits"],
)
def test_json_bombs_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(TRACES, body, is_json=True)


SEEDS: list[tuple[Kind, Callable[[], Any]]] = [
    (TRACES, lambda: trace_request({"a": {"b": 1}, "c": 0.5})),
    (LOGS, lambda: log_request(body={"x": "y"})),
    (METRICS, metric_request),
]


@given(data=st.data())
def test_any_bytes_are_read_or_malformed(data: st.DataObject) -> None:
    kind, seed = data.draw(st.sampled_from(SEEDS))
    is_json = data.draw(st.booleans())
    valid = as_json(seed()) if is_json else seed().SerializeToString()
    body = data.draw(st.binary(max_size=200) | mutated(valid))
    with suppress(MalformedRequest):
        assert all(signal.raw for signal in read_all(kind, body, is_json=is_json))


def mutated(valid: bytes) -> st.SearchStrategy[bytes]:
    """The valid body with a few bytes changed, removed or repeated."""

    def change(edits: list[tuple[int, int, bytes]]) -> bytes:
        body = valid
        for at, size, new in edits:
            at %= len(body) + 1
            body = body[:at] + new + body[at + size :]
        return body

    return st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 4), st.binary(max_size=4)), min_size=1, max_size=3
    ).map(change)


scalars = (
    st.text(max_size=8)
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars,
    lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=10), values, max_size=6), st.integers(0, 2**64 - 1), st.binary(max_size=20))
def test_protobuf_json_and_a_replayed_dead_letter_agree(attributes: Pairs, time: int, identity: bytes) -> None:
    request = trace_request(attributes)
    [span] = request.resource_spans[0].scope_spans[0].spans
    span.end_time_unix_nano, span.trace_id = time, identity.ljust(16, b"x")[:16]
    logs = log_request(attributes=attributes, time_unix_nano=time, body=attributes)
    for kind, message in ((TRACES, request), (LOGS, logs), (METRICS, metric_request(time % 1000, **attributes))):
        signal = read_one(kind, message)
        assert read(kind, signal.raw, is_json=True)[:1] == [signal]


@given(
    st.sampled_from([KeyValue(key="n"), KeyValue(key="gen_ai.prompt"), KeyValue(key="x" * 200)]),
    scalars | st.sampled_from([127, 128, 16383, 16384, 2**21, "", "ü", "x" * 122, "x" * 1001, {"a": 1}, ["a"], b"b"]),
    st.data(),
)
def test_a_pair_is_read_as_protobuf_reads_it(pair: KeyValue, value: Any, data: st.DataObject) -> None:
    message = KeyValue()
    message.CopyFrom(pair)
    set_value(message.value, value)
    valid = message.SerializeToString()
    read_pair(valid)  # from then on the name is known
    for written in (valid, data.draw(mutated(valid))):
        try:
            expected = protobuf_attributes([KeyValue.FromString(written)])
        except DecodeError:
            continue
        name, found = read_pair(written)
        assert ({} if found is None else {name: found}) == expected


def test_keyvalue_is_what_protobuf_calls_it() -> None:
    """The tags in this file's crafted bytes: 9 is Span.attributes, 2 is KeyValue.value."""
    assert (
        ExportTraceServiceRequest.FromString(wrap(b"\x4a" + b"\x02\x12\x00"))
        .resource_spans[0]
        .scope_spans[0]
        .spans[0]
        .attributes[0]
        .HasField("value")
    )
    assert KeyValue.DESCRIPTOR.fields_by_name["value"].number == 2
