"""The ready-made mappings of OTLP on what real exporters sent (tests/ingest/recorded/otlp)."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from flexcredits_schemas.codec import InvalidEvent
from flexcredits_schemas.events import Usage
from flexcredits_schemas.mapping.apply import Ignored, Mapping, compile_mapping
from flexcredits_schemas.mapping.document import decode_document
from flexcredits_schemas.mapping.foreign import Unplaced, Unreadable, decode_json
from flexcredits_schemas.mapping.readers.otlp.reading import LOGS, METRICS, TRACES, read_json, read_trace
from flexcredits_schemas.mapping.readers.otlp.views import Signal
from flexcredits_schemas.mapping.readers.table import READERS
from flexcredits_schemas.mapping.ready_made import ready_made
from ingest.adapters.otlp.protobuf import read_protobuf
from support.clients.recorded_otlp import RECORDED

KINDS = {kind.name: kind for kind in (TRACES, LOGS, METRICS)}
NOW = datetime(2026, 11, 30, tzinfo=UTC)
OPENAI = {"input_tokens": 1000, "cached_input_tokens": 900, "output_tokens": 120, "reasoning_output_tokens": 40}
ANTHROPIC = {"input_tokens": 1050, "cached_input_tokens": 900, "cache_write_input_tokens": 50, "output_tokens": 77}
STREAMED = {name: amount for name, amount in OPENAI.items() if name != "reasoning_output_tokens"}


def mapping(name: str) -> Mapping:
    return compile_mapping(ready_made()[name].document, "acme")


def place(name: str, file: str) -> tuple[list[Usage], list[str]]:
    """Usage, and the rules that ignored the other signals."""
    _, kind, form = file.rsplit(".", 2)
    body = (RECORDED / file).read_bytes()
    signals = read_json(KINDS[kind], body) if form == "json" else read_protobuf(KINDS[kind], body)
    compiled = mapping(name)
    placed = [compiled.place(f"otlp_{kind}", signal) for signal in signals if isinstance(signal, Signal)]
    return (
        [usage for usage in placed if isinstance(usage, Usage)],
        [ignored.rule for ignored in placed if isinstance(ignored, Ignored)],
    )


def amounts(usage: Usage) -> dict[str, int]:
    return {unit: int(json.loads(bytes(amount))) for unit, amount in (usage.data.quantities or {}).items()}


def nonzero(amounts: dict[str, int]) -> dict[str, int]:
    return {unit: amount for unit, amount in amounts.items() if amount}


def test_spans_of_the_python_instrumentations() -> None:
    usage, ignored = place("otlp-genai", "openllmetry-0.62.4.traces.pb")
    assert [(one.data.feature, nonzero(amounts(one))) for one in usage] == [
        ("gpt-5", OPENAI),
        ("gpt-4o-mini", OPENAI),
        ("gpt-4o-mini", STREAMED),
        ("text-embedding-3-small", {"input_tokens": 30}),
        ("claude-sonnet-4-5", ANTHROPIC),
        ("claude-sonnet-4-5", ANTHROPIC),
    ]
    assert ignored == ["second span of an Anthropic call"] * 2
    first = usage[0]
    assert (first.subject, first.source, first.data.product, first.data.feature_kind) == (
        "acme",
        "otlp",
        "assistant",
        "model",
    )
    assert first.data.actor is not None
    assert first.data.actor.id == "u1"
    assert first.data.run is not None
    assert f"{first.data.run.id}/" == first.id[:33]


def test_spans_of_the_vercel_ai_sdk_count_once_per_call() -> None:
    usage, ignored = place("otlp-genai", "vercel-ai-6.0.326.traces.json")
    assert [(one.data.feature, nonzero(amounts(one))) for one in usage] == [("gpt-4o-mini", OPENAI)] * 2
    assert ignored == ["other spans"] * 2


@pytest.mark.parametrize(
    ("name", "file", "feature", "expected"),
    [
        (
            "claude-code",
            "claude-code-2.1.332",
            "claude-sonnet-4-5",
            {
                "uncached_input_tokens": 100,
                "cached_input_tokens": 900,
                "cache_write_input_tokens": 50,
                "output_tokens": 77,
            },
        ),
        (
            "gemini-cli",
            "gemini-cli-0.61.0",
            "gemini-2.5-pro",
            {
                "input_tokens": 1000,
                "cached_input_tokens": 900,
                "tool_use_input_tokens": 5,
                "output_tokens": 77,
                "thought_output_tokens": 40,
            },
        ),
        ("codex", "codex-0.171.0", "gpt-5", OPENAI),
    ],
)
def test_a_call_of_a_coding_assistant_counts_once(name: str, file: str, feature: str, expected: dict[str, int]) -> None:
    found = [path.name for path in sorted(RECORDED.glob(f"{file}.*"))]
    assert len(found) >= 2
    placed = [place(name, one) for one in found]
    [usage] = [one for usages, _ in placed for one in usages]
    assert (usage.data.feature, usage.data.surface, nonzero(amounts(usage))) == (feature, name, expected)
    assert usage.data.actor is not None or name == "codex"  # without a sign-in, Codex names no user
    assert usage.data.run is not None
    assert all(ignored for _, ignored in placed)


def span(**attributes: Any) -> bytes:
    view = {
        "resource": {},
        "scope": {"name": attributes.pop("scope", "x"), "version": "", "attributes": {}},
        "span": {
            "name": "chat",
            "kind": "client",
            "start": None,
            "end": "2026-11-30T01:00:00.000000Z",
            "trace_id": "5b8efff798038103d269b633813fc60c",
            "span_id": "eee19b7ec3c1b174",
            "parent_span_id": None,
            "status": attributes.pop("status", "unset"),
            "attributes": {name.replace("__", "."): value for name, value in attributes.items()},
        },
    }
    return json.dumps(view).encode()


def try_event(compiled: Mapping, protocol: str, raw: bytes) -> Usage | Ignored:
    foreign = READERS[protocol](decode_json(raw), raw, NOW)
    if isinstance(foreign, Unreadable):
        raise InvalidEvent(foreign.detail, foreign.pointer)
    return compiled.place(protocol, foreign)


def try_span(**attributes: Any) -> Usage | Ignored:
    return try_event(mapping("otlp-genai"), "otlp_traces", span(**attributes))


OLD = {"gen_ai__system": "openai", "gen_ai__request__model": "gpt-4o"}
NEW = {"gen_ai__operation__name": "chat", "gen_ai__provider__name": "openai", "gen_ai__request__model": "gpt-4o"}


@pytest.mark.parametrize(
    "attributes",
    [
        NEW
        | {
            "gen_ai__usage__input_tokens": 10,
            "gen_ai__usage__output_tokens": 2,
            "gen_ai__usage__cache_read__input_tokens": 4,
        },
        OLD
        | {
            "gen_ai__usage__prompt_tokens": 10,
            "gen_ai__usage__completion_tokens": 2,
            "gen_ai__usage__cache_read_input_tokens": 4,
        },
        NEW
        | {
            "gen_ai__usage__prompt_tokens": 10,
            "gen_ai__usage__completion_tokens": 2,
            "gen_ai__usage__cached_tokens": 4,
        },
    ],
)
def test_old_and_new_names_of_attributes(attributes: dict[str, Any]) -> None:
    usage = try_span(**attributes)
    assert isinstance(usage, Usage)
    assert amounts(usage) == {"input_tokens": 10, "cached_input_tokens": 4, "output_tokens": 2}


BEDROCK = {
    "gen_ai__operation__name": "chat",
    "gen_ai__request__model": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "gen_ai__usage__input_tokens": 50,
    "gen_ai__usage__output_tokens": 120,
}
"""What both instrumentations of boto3 report (findings/otel-bedrock-input-without-cached-tokens.sh)."""
BEDROCK_SCOPES = ("opentelemetry.instrumentation.botocore.bedrock-runtime", "opentelemetry.instrumentation.bedrock")


@pytest.mark.parametrize("scope", BEDROCK_SCOPES)
@pytest.mark.parametrize(
    ("cached", "expected"),
    [
        ({}, {"input_tokens": 50}),
        ({"cache_read": 900}, {"uncached_input_tokens": 50, "cached_input_tokens": 900}),
        ({"cache_creation": 100}, {"uncached_input_tokens": 50, "cache_write_input_tokens": 100}),
        (
            {"cache_read": 900, "cache_creation": 100},
            {"uncached_input_tokens": 50, "cached_input_tokens": 900, "cache_write_input_tokens": 100},
        ),
    ],
)
def test_cached_tokens_beside_the_input_of_bedrock(
    scope: str, cached: dict[str, int], expected: dict[str, int]
) -> None:
    counts = {f"gen_ai__usage__{name}__input_tokens": count for name, count in cached.items()}
    usage = try_span(scope=scope, **BEDROCK, **counts)
    assert isinstance(usage, Usage)
    assert amounts(usage) == expected | {"output_tokens": 120}


def test_a_call_without_token_counts_is_refused_and_not_counted_as_zero() -> None:
    with pytest.raises(Unplaced, match=r"rule `model calls`: .*gen_ai.usage.input_tokens.* is missing") as refused:
        try_span(**NEW)
    assert refused.value.reason == "unplaced"
    with pytest.raises(Unplaced):
        try_span(**NEW, gen_ai__usage__input_tokens=0, gen_ai__usage__output_tokens=0)


@pytest.mark.parametrize("operation", ["invoke_agent", "execute_tool", "create_agent"])
def test_spans_of_agents_are_ignored_because_they_repeat_the_tokens_of_their_calls(operation: str) -> None:
    assert try_span(**NEW | {"gen_ai__operation__name": operation}, gen_ai__usage__input_tokens=5) == Ignored(
        "agents and tools"
    )


def test_a_failed_call_without_tokens_is_ignored_and_one_with_tokens_counted() -> None:
    assert try_span(**NEW, status="error") == Ignored("failed calls")
    assert isinstance(try_span(**NEW, status="error", gen_ai__usage__input_tokens=5), Usage)


def test_other_spans_are_ignored() -> None:
    assert try_span(http__request__method="GET") == Ignored("other spans")


METRIC_RULE = {
    "type": "flexcredits.mapping.v1",
    "rules": [
        {
            "name": "tokens",
            "protocol": "otlp_metrics",
            "when": [{"at": "/metric/name", "in": ["claude_code.token.usage", "gemini_cli.token.usage"]}],
            "usage": {
                "product": {"value": "assistant"},
                "feature_kind": {"value": "model"},
                "feature": {"at": "/point/attributes/model"},
                "quantity": {"at": "/point/value"},
                "unit": {"at": "/point/attributes/type"},
            },
        }
    ],
}


def test_a_mapping_can_opt_in_to_delta_points() -> None:
    opted = compile_mapping(decode_document(json.dumps(METRIC_RULE).encode()), "acme")
    body = (RECORDED / "claude-code-2.1.332.metrics.pb").read_bytes()
    placed = [
        opted.place("otlp_metrics", signal) for signal in read_protobuf(METRICS, body) if isinstance(signal, Signal)
    ]
    usage = [one for one in placed if isinstance(one, Usage)]
    assert {one.data.unit: bytes(one.data.quantity) for one in usage} == {
        "input": b'"100"',
        "output": b'"77"',
        "cacheRead": b'"900"',
        "cacheCreation": b'"50"',
    }
    assert len({one.id for one in usage}) == 4


def test_cumulative_points_are_refused_with_what_to_do() -> None:
    opted = compile_mapping(decode_document(json.dumps(METRIC_RULE).encode()), "acme")
    body = (RECORDED / "gemini-cli-0.61.0.metrics.json").read_bytes()
    for signal in read_json(METRICS, body):
        assert isinstance(signal, Signal)
        with pytest.raises(Unplaced, match=r"rule `tokens`: a cumulative point repeats .*TEMPORALITY_PREFERENCE=delta"):
            opted.place("otlp_metrics", signal)


@pytest.mark.parametrize("event", [b"{}", b"[]", b"5", b'{"span":{}}', b'{"resourceSpans":[]}', b'{"resourceSpans":5}'])
def test_what_is_no_signal_cannot_be_tried(event: bytes) -> None:
    with pytest.raises(InvalidEvent):
        try_event(mapping("otlp-genai"), "otlp_traces", event)


def test_a_dead_letter_can_be_tried() -> None:
    signal = read_trace(json.loads(span(**NEW, gen_ai__usage__input_tokens=5)), b"", NOW)
    assert isinstance(signal, Signal)
    usage = try_event(mapping("otlp-genai"), "otlp_traces", signal.raw)
    assert isinstance(usage, Usage)
    assert usage.id == signal.id
