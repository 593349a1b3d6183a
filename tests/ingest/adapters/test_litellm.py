"""LiteLLM's `generic_api`: what is read of its payloads, in each form, and of bodies that no LiteLLM sends."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from flexcredits_schemas.codec import encode
from flexcredits_schemas.mapping.apply import Ignored, compile_mapping
from flexcredits_schemas.mapping.foreign import Foreign, Unreadable, decode_json
from flexcredits_schemas.mapping.readers import openmeter
from flexcredits_schemas.mapping.readers.litellm import read_event
from flexcredits_schemas.mapping.ready_made import ready_made
from hypothesis import given
from hypothesis import strategies as st
from ingest.adapters.litellm.adapter import LiteLlmAdapter
from ingest.domain.acceptance import Acceptance
from ingest.domain.keys import Scope
from ingest.http.responses import IngestProblem
from starlette.datastructures import Headers
from support.data.recorded_bodies import recorded, recorded_lines

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
JSON = Headers({"content-type": "application/json"})
ADAPTER = LiteLlmAdapter(1000, 10_000)
MAPPING = compile_mapping(ready_made()["litellm"].document, "org_acme")


CONTENT = {
    "requester_metadata": {"feature": "search"},
    "mcp_tool_call_metadata": {"name": "mail", "arguments": {"text": "secret"}, "result": {"a": ["secret"]}},
    "vector_store_request_metadata": [{"query": "secret", "vector_store_search_response": {}}],
    "prompt_management_metadata": {"prompt_variables": {"name": "secret"}},
    "requester_custom_headers": {"x-token": "secret"},
}


def read(body: bytes) -> list[Foreign | Unreadable]:
    return list(ADAPTER.read(JSON, body, NOW))


def events(body: bytes) -> list[Foreign]:
    read_ = read(body)
    assert all(isinstance(event, Foreign) for event in read_)
    return [event for event in read_ if isinstance(event, Foreign)]


def quantities(event: Foreign) -> dict[str, str] | str:
    """The quantities that the ready-made mapping finds, or the name of the rule that ignores the event."""
    placed = MAPPING.place("litellm", event)
    if isinstance(placed, Ignored):
        return placed.rule
    found: dict[str, str] = json.loads(encode(placed))["data"]["quantities"]
    return found


def test_tokens_of_each_call_are_counted_and_cache_hits_and_failures_are_not() -> None:
    cached = {"input_tokens": "1200", "cached_input_tokens": "1024"}
    assert [quantities(event) for event in events(recorded("litellm-generic-api.json"))] == [
        {**cached, "output_tokens": "300", "reasoning_output_tokens": "256"},
        "answers from LiteLLM's cache",
        {
            "input_tokens": "1300",
            "cached_input_tokens": "1000",
            "cache_write_input_tokens": "200",
            "output_tokens": "50",
        },
        {**cached, "output_tokens": "300", "reasoning_output_tokens": "256"},
        "failed calls",
        {"input_tokens": "8"},
    ]


def test_a_call_names_its_user_team_model_and_the_time_of_its_end() -> None:
    first = json.loads(encode(MAPPING.place("litellm", events(recorded("litellm-generic-api.json"))[0])))  # type: ignore[arg-type]
    assert (first["id"], first["source"], first["time"]) == ("chatcmpl-9", "litellm", "2026-11-30T03:29:05.463283Z")
    assert first["data"]["actor"] == {"id": "ada@acme.example"}
    assert (first["data"]["group"], first["data"]["feature"]) == ("Platform", "gpt-4o-mini")


def test_array_lines_and_single_payloads_are_read_alike() -> None:
    array = events(recorded("litellm-generic-api.json"))
    lines = events(recorded("litellm-generic-api.ndjson"))
    assert list(map(quantities, lines)) == list(map(quantities, array))
    (single,) = events(recorded("litellm-generic-api-single.json"))
    assert quantities(single) == quantities(array[0])
    indented = json.dumps(json.loads(recorded("litellm-generic-api-single.json")), indent=2).encode()
    assert events(indented)[0].event == single.event


def test_prompts_and_answers_stay_out_of_what_is_kept_and_a_dead_letter_can_be_sent_again() -> None:
    payload = {"id": "1", "endTime": 1764000000.5, "messages": "secret prompt", "response": "secret answer"}
    (event,) = events(json.dumps([payload | {"error_str": "secret error", "model": "gpt-6"}]).encode())
    assert b"secret" not in event.raw
    (found,) = events(json.dumps([payload | {"metadata": CONTENT}]).encode())
    assert b"secret" not in found.raw
    assert found.event["metadata"] == {"requester_metadata": {"feature": "search"}}
    assert read_event(
        json.loads(json.dumps(payload | {"metadata": CONTENT}), parse_float=Decimal), b"", NOW
    ) == Foreign(found.event, "1", "litellm", found.time, b"")
    assert event.event == {"id": "1", "endTime": event.event["endTime"], "model": "gpt-6"}
    assert events(event.raw) == [event]


@pytest.mark.parametrize(("cost", "placed"), [(0.0000412, 1), (None, 1), (0.0, 2)])
def test_another_call_with_the_id_of_a_first_is_no_duplicate_unless_it_has_no_cost(
    cost: float | None, placed: int
) -> None:
    """LiteLLM passes on the provider's id, and some servers give one id to different calls. Only an answer of its cache has
    the cost 0."""
    mapping = compile_mapping(ready_made()["litellm-openmeter"].document, "org_acme")
    made = json.loads(recorded_lines("litellm-openmeter.ndjson")[1])
    other = {**made, "data": {**made["data"], "cost": cost, "prompt_tokens": 7}}
    found = Acceptance(Scope(frozenset({"org_acme"}), frozenset({"*"})), NOW, 10_000)
    elements = [
        openmeter.read_event(decode_json(raw), raw, NOW) for raw in (json.dumps(one).encode() for one in (made, other))
    ]
    found.validate_foreign(elements, "openmeter", mapping)
    verdict = found.verdict
    assert (verdict.accepted, verdict.accepted + verdict.duplicates) == (1, placed)
    assert [event.reason for event in verdict.rejected] == ["conflict"] * (2 - placed)


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        ({}, "/id"),
        ({"id": 1, "endTime": 1}, "/id"),
        ({"id": ""}, "/id"),
        ({"id": "1"}, "/endTime"),
        ({"id": "1", "endTime": "2026-11-30"}, "/endTime"),
        ({"id": "1", "endTime": True}, "/endTime"),
        ({"id": "1", "endTime": 1e300}, "/endTime"),
        (None, ""),
        (5, ""),
        ([1], ""),
    ],
)
def test_a_payload_without_identity_or_time_is_one_dead_letter_beside_its_neighbours(
    payload: Any, pointer: str
) -> None:
    good = {"id": "2", "endTime": 1764000000}
    wrong, right = read(json.dumps([payload, good]).encode())
    assert isinstance(wrong, Unreadable)
    assert wrong.pointer == pointer
    assert isinstance(right, Foreign)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "malformed-body"),
        (b"[", "malformed-body"),
        (b'{"id":"1"}\n{"id"', "malformed-body"),
        (b'[{"id":"1","cost":NaN}]', "malformed-body"),
        (b'{"a":' * 100_000, "malformed-body"),
        (b"[" * 100_000, "malformed-body"),
        (b"[" + b",".join([b"{}"] * 1001) + b"]", "too-large"),
        (b"\n".join([b"{}"] * 1002), "too-large"),
        (b"[" + b"," * 200_000 + b"]", "too-large"),
    ],
)
def test_bodies_that_are_no_payloads_or_too_many_are_refused_whole(body: bytes, problem: str) -> None:
    with pytest.raises(IngestProblem) as refused:
        read(body)
    assert refused.value.problem == problem


def test_content_types_of_json_and_lines_are_taken() -> None:
    for content_type in ("application/json", "application/json; charset=utf-8", "application/x-ndjson"):
        ADAPTER.check_headers(Headers({"content-type": content_type}))
    with pytest.raises(IngestProblem):
        ADAPTER.check_headers(Headers({"content-type": "application/x-www-form-urlencoded"}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        name: json_values
        for name in ("id", "endTime", "status", "cache_hit", "model", "prompt_tokens", "metadata", "messages")
    },
)


@given(st.lists(payloads | json_values, max_size=5))
def test_any_json_is_read_without_another_error(given_payloads: list[Any]) -> None:
    for element in read(json.dumps(given_payloads).encode()):
        if isinstance(element, Foreign):
            assert events(element.raw) == [element]


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:0123456789.eE-+\\untrfals\n ', max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(IngestProblem):
        assert len(read(body)) <= 1000
