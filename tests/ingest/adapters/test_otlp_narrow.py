"""Reading of spans only what a mapping reads gives the same usage, dead letters and refusals as reading everything."""

import json
from typing import Any

import pytest
from flexcredits_schemas.codec import encode
from flexcredits_schemas.mapping.apply import Ignored, Mapping, compile_mapping
from flexcredits_schemas.mapping.document import decode_document
from flexcredits_schemas.mapping.foreign import Unplaced, Unreadable
from flexcredits_schemas.mapping.readers.otlp.reading import TRACES, MalformedRequest
from flexcredits_schemas.mapping.ready_made import ready_made
from hypothesis import given
from hypothesis import strategies as st
from ingest.adapters.otlp.narrow import NarrowSpan, read_span, span_reader
from ingest.adapters.otlp.protobuf import EVERYTHING, read_protobuf
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.clients.recorded_otlp import RECORDED

ALL_MEMBERS = {
    "type": "flexcredits.mapping.v1",
    "rules": [
        {
            "name": "calls",
            "protocol": "otlp_traces",
            "when": [{"at": "/span/attributes/model", "exists": True}, {"at": "/span/kind", "is": "client"}],
            "usage": {
                "product": {"at": "/resource/service.name", "default": "assistant"},
                "feature_kind": {"value": "model"},
                "feature": {"at": ["/span/attributes/model", "/span/name"]},
                "surface": {"at": "/span/status"},
                "actor": {"id": {"at": ["/span/attributes/user/id", "/span/nothing", "/nothing", "/span/start"]}},
                "run": {"id": {"at": "/span/span_id"}, "parent_id": {"at": ["/span/parent_span_id", "/span/end"]}},
                "quantities": {"tokens": {"at": ["/span/attributes/tokens", "/span/attributes/gen_ai.prompt"]}},
            },
        }
    ],
}
MAPPINGS = [
    compile_mapping(ready_made()["otlp-genai"].document, "acme"),
    compile_mapping(decode_document(json.dumps(ALL_MEMBERS).encode()), "acme"),
]
OPENLLMETRY = (RECORDED / "openllmetry-0.62.4.traces.pb").read_bytes()


def outcomes(mapping: Mapping, body: bytes, pointers: frozenset[str]) -> list[Any] | str:
    """What becomes of each span, and what its dead letter would be; or that the request is malformed."""
    found: list[Any] = []
    try:
        for signal in read_protobuf(TRACES, body, pointers):
            if isinstance(signal, Unreadable):
                found.append(signal)
                continue
            try:
                placed = mapping.place("otlp_traces", signal)
                outcome: Any = placed.rule if isinstance(placed, Ignored) else encode(placed)
            except Unplaced as error:
                outcome = (error.rule, error.field, error.pointer, error.detail)
            found.append((signal.id, signal.source, signal.time, outcome, signal.raw))
    except MalformedRequest:
        return "malformed"
    return found


ATTRIBUTES = st.dictionaries(
    st.sampled_from(["model", "tokens", "user", "other", "gen_ai.operation.name", "gen_ai.request.model", "gen_ai.usage.input_tokens"]),
    st.sampled_from(["chat", "gpt", 5, 70_000, True, 0.5, ""]),
    min_size=2, max_size=4,
)  # fmt: skip


@pytest.mark.parametrize("mapping", MAPPINGS, ids=["ready-made", "members"])
@given(st.lists(ATTRIBUTES, min_size=2, max_size=6))
def test_both_readings_agree_whatever_names_the_spans_of_a_request_have(
    mapping: Mapping, spans: list[dict[str, Any]]
) -> None:
    message = request()
    for number, attributes in enumerate(spans, 1):
        span = (
            message.resource_spans[0]
            .scope_spans[0]
            .spans.add(trace_id=b"t" * 16, span_id=number.to_bytes(8), start_time_unix_nano=1_796_000_000_000_000_000)
        )
        for name, value in attributes.items():
            kind = {str: "string", int: "int", bool: "bool", float: "double"}[type(value)]
            setattr(span.attributes.add(key=name).value, f"{kind}_value", value)
    body = message.SerializeToString()
    assert outcomes(mapping, body, mapping.pointers("otlp_traces")) == outcomes(mapping, body, EVERYTHING)


def request(*spans: Any) -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.extend(spans)
    return message


def crafted() -> bytes:
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "assistant"
    span = group.scope_spans.add().spans.add(
        trace_id=b"t" * 16, span_id=b"s" * 8, parent_span_id=b"p" * 8, name="chat", kind=3,
        start_time_unix_nano=1_796_000_000_123_456_789,
    )  # fmt: skip
    for name in ("model", "other", "model", "gen_ai.request.model"):
        span.attributes.add(key=name).value.string_value = f"{name}-5"
    for number, name in enumerate(("tokens", "gen_ai.usage.input_tokens", "unknown")):
        span.attributes.add(key=name).value.int_value = number * 1000
    span.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
    span.attributes.add(key="gen_ai.prompt").value.int_value = 7
    user = span.attributes.add(key="user").value.kvlist_value.values.add(key="id")
    user.value.string_value = "ada"
    span.attributes.add(key="model").value.array_value.SetInParent()  # the last value is left out, so the second counts
    span.attributes.add(key="gen_ai.usage.output_tokens").value.double_value = 5.5
    return bytes(message.SerializeToString())


@pytest.mark.parametrize("mapping", MAPPINGS, ids=["ready-made", "members"])
@pytest.mark.parametrize("body", [OPENLLMETRY, crafted()], ids=["recorded", "crafted"])
@given(st.data())
def test_both_readings_agree(mapping: Mapping, body: bytes, data: st.DataObject) -> None:
    edits = st.tuples(st.integers(0, len(body)), st.integers(0, 4), st.binary(max_size=4))
    for at, size, new in data.draw(st.lists(edits, max_size=3)):
        body = body[:at] + new + body[at + size :]
    narrow = outcomes(mapping, body, mapping.pointers("otlp_traces"))
    assert narrow == outcomes(mapping, body, EVERYTHING)


@pytest.mark.parametrize("mapping", MAPPINGS, ids=["ready-made", "members"])
def test_usual_spans_are_read_narrowly(mapping: Mapping) -> None:
    for body in (OPENLLMETRY, crafted()):
        signals = list(read_protobuf(TRACES, body, mapping.pointers("otlp_traces")))
        narrow = [signal for signal in signals if isinstance(signal, NarrowSpan)]
        assert len(narrow) >= len(signals) - 1  # one of the crafted spans ends a name with an array


@pytest.mark.parametrize("pointer", ["", "/span", "/span/attributes"])
def test_a_mapping_that_reads_a_whole_object_gets_all_of_it(pointer: str) -> None:
    assert span_reader(frozenset({pointer, "/span/name"})) is read_span


def test_attributes_are_a_map_with_the_last_value_of_a_name() -> None:
    span = crafted_span = ExportTraceServiceRequest.FromString(crafted()).resource_spans[0].scope_spans[0].spans[0]
    del span.attributes[-2]
    [signal] = read_protobuf(TRACES, request(crafted_span).SerializeToString(), MAPPINGS[1].pointers("otlp_traces"))
    assert isinstance(signal, NarrowSpan)
    assert signal.event["span"]["attributes"] == {"model": "model-5", "tokens": 0, "user": {"id": "ada"}}
