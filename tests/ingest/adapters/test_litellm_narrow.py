"""Reading of LiteLLM's calls only what a mapping reads gives the same usage, dead letters and refusals as reading all."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from flexcredits_schemas.codec import encode
from flexcredits_schemas.mapping.apply import Ignored, Mapping, compile_mapping
from flexcredits_schemas.mapping.document import decode_document
from flexcredits_schemas.mapping.foreign import Foreign, Unplaced, Unreadable
from flexcredits_schemas.mapping.ready_made import ready_made
from hypothesis import given
from hypothesis import strategies as st
from ingest.adapters.litellm.adapter import LiteLlmAdapter
from ingest.adapters.litellm.narrow import NarrowCall, narrow_form
from ingest.adapters.litellm.narrow_type import is_utf8, narrow_type
from ingest.http.responses import IngestProblem
from starlette.datastructures import Headers
from support.data.recorded_bodies import recorded

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
JSON = Headers({"content-type": "application/json"})
ADAPTER = LiteLlmAdapter(1000, 256 * 1024)
COST = {
    "type": "flexcredits.mapping.v1",
    "rules": [
        {
            "name": "cost",
            "protocol": "litellm",
            "when": [
                {"at": "/response_cost_failure_debug_info", "exists": False},
                {"at": "/messages", "exists": False},
            ],
            "usage": {
                "product": {"value": "assistant"},
                "feature_kind": {"value": "model"},
                "feature": {"at": ["/model_group", "/model", "/response/model"]},
                "actor": {"id": {"at": ["/metadata/requester_custom_headers/x-user", "/end_user"]}},
                "labels": {"provider": {"at": "/custom_llm_provider"}},
                "credits": {"at": "/response_cost"},
                "times": "100",
            },
        }
    ],
}
MAPPINGS = [
    compile_mapping(ready_made()["litellm"].document, "acme"),
    compile_mapping(decode_document(json.dumps(COST).encode()), "acme"),
]
BODY = recorded("litellm-generic-api.json")
CALLS = json.loads(BODY)
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    5,
    1.5,
    1e22,
    2**70,
    "",
    "ü",
    "\ud800",
    "x" * 300,
    [],
    [1],
    {},
    {"a": 1},
    {"x-user": "a"},
]
PLACES: list[tuple[str, ...]] = [
    ("id",), ("endTime",), ("model",), ("cache_hit",), ("status",), ("prompt_tokens",), ("response_cost",), ("end_user",), ("metadata",),
    ("metadata", "user_api_key_user_id"), ("metadata", "usage_object"), ("metadata", "usage_object", "prompt_tokens_details"),
    ("metadata", "usage_object", "prompt_tokens_details", "cached_tokens"), ("messages",), ("cost_breakdown",), ("metadata", "requester_custom_headers"), ("metadata", "mcp_tool_call_metadata"),
]  # fmt: skip


def outcomes(mapping: Mapping, body: bytes, *, narrow: bool) -> list[Any] | tuple[str, str]:
    """What becomes of each call, and what its dead letter would be; or why the request is refused."""
    found: list[Any] = []
    try:
        for call in ADAPTER.read(JSON, body, NOW, mapping if narrow else None):
            if isinstance(call, Unreadable):
                found.append(call)
                continue
            try:
                placed = mapping.place("litellm", call)
                outcome: Any = placed.rule if isinstance(placed, Ignored) else encode(placed)
            except Unplaced as error:
                outcome = (error.rule, error.field, error.pointer, error.detail)
            found.append((call.id, call.source, call.time, outcome, call.raw))
    except IngestProblem as refused:
        return refused.problem, str(refused.members.get("detail"))
    return found


def assert_both_agree(mapping: Mapping, body: bytes) -> None:
    full = outcomes(mapping, body, narrow=False)
    if b"a number is out of range" not in repr(full).encode():  # exponents above 10**18 are skipped where no rule reads
        assert outcomes(mapping, body, narrow=True) == full


@pytest.mark.parametrize("mapping", MAPPINGS, ids=["tokens", "cost"])
@given(st.data())
def test_both_readings_agree_on_any_values(mapping: Mapping, data: st.DataObject) -> None:
    calls = json.loads(BODY)
    for place, value in data.draw(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(ODD)), max_size=2)):
        *parents, name = place
        node: Any = data.draw(st.sampled_from(calls))
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, dict):
            if data.draw(st.booleans()):
                node[name] = value
            else:
                node.pop(name, None)
    assert_both_agree(
        mapping, json.dumps(calls, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass")
    )


@pytest.mark.parametrize("mapping", MAPPINGS, ids=["tokens", "cost"])
@given(st.data())
def test_both_readings_agree_on_mutated_bytes(mapping: Mapping, data: st.DataObject) -> None:
    body = json.dumps([CALLS[0], CALLS[4]]).encode()
    edits = st.tuples(st.integers(0, len(body)), st.integers(0, 9), st.binary(max_size=4) | st.sampled_from(WORDS))
    for at, size, new in data.draw(st.lists(edits, max_size=3)):
        body = body[:at] + new + body[at + size :]
    if is_utf8(body):  # the full way does not read the texts of members that are left out
        assert_both_agree(mapping, body)


WORDS = [b'"model":"a",', b'"id":"\\u0061",', b'"metadata":{},', b'{},', b'"end\\u005fuser":"b",', b"1e400", b"0.10", b"["]  # fmt: skip


@pytest.mark.parametrize("mapping", MAPPINGS, ids=["tokens", "cost"])
def test_calls_of_litellm_are_read_narrowly(mapping: Mapping) -> None:
    calls = list(ADAPTER.read(JSON, BODY, NOW, mapping))
    full = [call for call in calls if not isinstance(call, NarrowCall)]
    assert [call.event["model"] for call in full if isinstance(call, Foreign)] in ([], ["in-house"])  # has debug info
    assert "litellm_call_id" not in calls[0].event  # type: ignore[union-attr]
    assert b"litellm_call_id" in calls[0].raw  # a dead letter can be tried with another mapping


@pytest.mark.parametrize(
    "pointers",
    [{""}, {"/metadata", "/metadata/a"}, {"/request_tags/0"}],
    ids=["whole", "whole and part", "element"],
)
def test_pointers_that_need_more_than_members_read_in_full(pointers: set[str]) -> None:
    assert narrow_form(frozenset(pointers)) is None
    assert narrow_type(frozenset(pointers), (), frozenset()) is None


def test_invalid_utf8_anywhere_reads_in_full() -> None:
    assert is_utf8("ü€".encode() * 50_000)
    assert not is_utf8("ü".encode() * 40_000 + b"\xc3")
    mapping, wrong = MAPPINGS[0], BODY.replace(b'"openai"', b'"\xff"', 1)
    assert wrong != BODY
    assert not any(isinstance(call, NarrowCall) for call in ADAPTER.read(JSON, wrong, NOW, mapping))
    assert_both_agree(mapping, wrong)


@pytest.mark.parametrize("mapping", MAPPINGS, ids=["tokens", "cost"])
@pytest.mark.parametrize(
    "end",
    [
        "1796040000.123456", "1796040000.12345", "1796040000.1234567", "179604000.1234567", "1796040000", "0796040000.123456", "1796040000.12345e",
        "1796040000.1234e1", "-796040000.123456", '"796040000.12345"', '"79604000.123456', "9999999999.999999", "1796040000.999999",
    ],
)  # fmt: skip
def test_the_end_of_a_call_is_read_to_the_microsecond(mapping: Mapping, end: str) -> None:
    assert_both_agree(mapping, re.sub(rb'"endTime": [^,]*', b'"endTime": ' + end.encode(), BODY, count=1))
