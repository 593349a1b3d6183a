"""Lago's protocol: what is read of its events and answered, and of bodies that no SDK sends."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from flexcredits_schemas.mapping.foreign import Foreign, Unreadable
from hypothesis import given
from hypothesis import strategies as st
from ingest.adapters.adapter import Outcome
from ingest.adapters.lago import Events, LagoAdapter, LagoBatchAdapter
from ingest.domain.acceptance import Reason, Rejected, Verdict
from ingest.http.responses import IngestProblem
from starlette.datastructures import Headers
from support.data.recorded_bodies import recorded, recorded_lines

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
JSON = Headers({"content-type": "application/json"})
ONE, MANY = LagoAdapter(1000, 10_000), LagoBatchAdapter(1000, 10_000)
EVENT = {"transaction_id": "t1", "external_subscription_id": "sub_1", "code": "tokens", "timestamp": 1764000000}


def begin(adapter: LagoAdapter, body: Any) -> Events:
    return adapter.read(JSON, body if isinstance(body, bytes) else json.dumps(body).encode(), NOW)


def read(adapter: LagoAdapter, body: Any) -> list[Foreign | Unreadable]:
    return [*begin(adapter, body)]


def rejected(index: int, pointer: str = "/timestamp") -> Rejected:
    return Rejected(index, "t1", pointer, "wrong", Reason.INVALID, "org_acme", b"{}")


def test_events_of_the_sdks_are_read_with_their_identity_and_time() -> None:
    (python,) = read(ONE, recorded("lago-python-event.json"))
    (javascript,) = read(ONE, recorded("lago-javascript-event.json"))
    assert isinstance(python, Foreign)
    assert isinstance(javascript, Foreign)
    assert (python.id, python.source) == ("t1", "lago:sub_1")
    assert python.time == datetime(2025, 11, 24, 16, 0, tzinfo=UTC)
    assert javascript.time == datetime(2025, 11, 24, 16, 0, 0, 500_000, tzinfo=UTC)
    batch = read(MANY, recorded("lago-python-batch.json"))
    assert [(event.id, event.time, event.timed) for event in batch if isinstance(event, Foreign)] == [
        ("t2", datetime(2025, 11, 24, 16, 0, 0, 123_000, tzinfo=UTC), True),
        ("t3", NOW, False),
    ]
    assert len(read(MANY, recorded("lago-javascript-batch.json"))) == 1
    for body in recorded_lines("litellm-lago.ndjson"):
        (event,) = read(ONE, body)
        assert isinstance(event, Foreign)


def test_a_dead_letter_can_be_sent_again_to_the_same_path() -> None:
    (event,) = read(ONE, {"event": EVENT})
    assert read(ONE, event.raw) == read(MANY, event.raw) == [event]


def test_an_event_that_is_too_large_is_not_decoded() -> None:
    wrong, right = read(MANY, {"events": [EVENT | {"properties": {"a": "x" * 10_000}}, EVENT]})
    assert isinstance(wrong, Unreadable)
    assert isinstance(right, Foreign)


@pytest.mark.parametrize(
    "timestamp", [1764000000, "1764000000", 1764000000.0, "1764000000.000", "2025-11-24T16:00:00Z"]
)
def test_seconds_are_read_as_number_or_text(timestamp: Any) -> None:
    (event,) = read(ONE, {"event": EVENT | {"timestamp": timestamp}})
    assert isinstance(event, Foreign)
    assert event.time == datetime(2025, 11, 24, 16, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "pointer"),
    [
        (EVENT | {"transaction_id": ""}, "/transaction_id"),
        (EVENT | {"transaction_id": 5}, "/transaction_id"),
        ({name: value for name, value in EVENT.items() if name != "code"}, "/code"),
        (EVENT | {"external_subscription_id": None}, "/external_subscription_id"),
        (EVENT | {"timestamp": 1764000000000000}, "/timestamp"),
        (EVENT | {"timestamp": "2025-11-24T16:00:00"}, "/timestamp"),
        (EVENT | {"timestamp": True}, "/timestamp"),
        (EVENT | {"timestamp": -1e300}, "/timestamp"),
        (EVENT | {"timestamp": [1]}, "/timestamp"),
        (5, ""),
        ([], ""),
    ],
)
def test_an_event_without_identity_or_with_a_wrong_time_is_one_dead_letter(event: Any, pointer: str) -> None:
    wrong, right = read(MANY, {"events": [event, EVENT]})
    assert isinstance(wrong, Unreadable)
    assert wrong.pointer == pointer
    assert isinstance(right, Foreign)


@pytest.mark.parametrize(
    ("adapter", "body", "problem"),
    [
        (ONE, b"", "malformed-body"),
        (ONE, b"[]", "malformed-body"),
        (ONE, b'{"event":', "malformed-body"),
        (ONE, b'{"event":' * 100_000, "malformed-body"),
        (MANY, b'{"events":{}}', "malformed-body"),
        (MANY, b'{"events":[' * 100_000, "malformed-body"),
        (MANY, b'{"events":[' + b",".join([b"{}"] * 1001) + b"]}", "too-large"),
        (MANY, b'{"events":[' + b"1," * 200_000 + b"1]}", "too-large"),
    ],
)
def test_bodies_that_are_no_events_or_too_many_are_refused_whole(
    adapter: LagoAdapter, body: bytes, problem: str
) -> None:
    with pytest.raises(IngestProblem) as refused:
        read(adapter, body)
    assert refused.value.problem == problem


def answered(adapter: LagoAdapter, elements: Any, verdict: Verdict) -> tuple[int, Any]:
    try:
        answer = adapter.answer(JSON, Outcome(verdict, elements, {}))
    except IngestProblem as problem:
        answer = adapter.answer_problem(JSON, problem)
    return answer.status_code, json.loads(bytes(answer.body))


def test_accepted_events_are_answered_as_lago_does() -> None:
    elements = begin(ONE, {"event": EVENT | {"properties": {"tokens": 5.25}}})
    assert len([*elements]) == 1
    status, answer = answered(ONE, elements, Verdict(usage=[(b"", b"")]))
    assert status == 200
    assert answer["event"]["transaction_id"] == "t1"
    assert answer["event"]["timestamp"] == "2025-11-24T16:00:00Z"
    assert answer["event"]["properties"] == {"tokens": 5.25}
    elements = begin(MANY, {"events": [EVENT, EVENT | {"transaction_id": "t2"}]})
    assert len([*elements]) == 2
    status, answer = answered(MANY, elements, Verdict(usage=[(b"", b"")] * 2))
    assert [event["transaction_id"] for event in answer["events"]] == ["t1", "t2"]


def test_refused_events_are_answered_with_their_reasons_even_beside_accepted_ones() -> None:
    elements = read(MANY, {"events": [EVENT, EVENT]})
    status, answer = answered(MANY, elements, Verdict(usage=[(b"", b"")], rejected=[rejected(1)]))
    assert (status, answer["status"], answer["code"]) == (422, 422, "validation_errors")
    assert answer["error_details"] == {"1": {"timestamp": ["wrong"]}}
    status, answer = answered(ONE, elements, Verdict(rejected=[rejected(0)]))
    assert (status, answer["error_details"]) == (422, {"timestamp": ["wrong"]})


def test_a_quota_says_when_to_try_again_as_the_sdks_read_it() -> None:
    answer = ONE.answer_problem(JSON, IngestProblem("over-quota", "later", headers={"Retry-After": "7"}))
    assert (answer.status_code, answer.headers["x-ratelimit-reset"], answer.headers["retry-after"]) == (429, "7", "7")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
given_events = st.fixed_dictionaries({}, optional={name: json_values for name in EVENT}) | json_values


@given(st.lists(given_events, max_size=5))
def test_any_json_is_read_without_another_error(events: list[Any]) -> None:
    elements = read(MANY, {"events": events})
    for element in elements:
        if isinstance(element, Foreign):
            assert read(ONE, element.raw) == [element]
    for adapter in (ONE, MANY):
        begun = begin(MANY, {"events": events})
        assert [*begun] == elements
        assert answered(adapter, begun, Verdict(usage=[(b"", b"")]))[0] == 200


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:0123456789.eE-+\\untvs ', max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for adapter in (ONE, MANY):
        for content in (body, b'{"events":[' + body + b"]}"):
            with suppress(IngestProblem):
                read(adapter, content)
