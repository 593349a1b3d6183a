"""Any body at the path of any protocol: each event has a disposition, or the request is refused as a whole. Without servers."""

import json
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flexcredits_schemas.mapping.apply import compile_mapping
from flexcredits_schemas.mapping.document import decode_document
from flexcredits_schemas.mapping.ready_made import ready_made
from hypothesis import given
from hypothesis import strategies as st
from ingest.adapters.adapter import Outcome
from ingest.adapters.table import adapters
from ingest.domain.acceptance import Acceptance
from ingest.domain.keys import Scope
from ingest.endpoint import TURN_S, take_until
from ingest.http.responses import IngestProblem
from starlette.datastructures import Headers
from support.data.mappings import document, rule

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
EVENT_BYTES_MAX = 2_000
SCOPE = Scope(frozenset({"org_acme"}), frozenset("*"))
OPENMETER = next(adapter for adapter in adapters(50, EVENT_BYTES_MAX) if adapter.name == "openmeter")
MAPPING = compile_mapping(ready_made()["openmeter"].document, "org_acme")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
times = st.sampled_from(
    ["2026-11-30T11:00:00Z", "2026-11-30T11:00:00.123456789+01:00", "2026-11-30", "2020-01-01T00:00:00Z", None, 5]
)
likely = st.fixed_dictionaries(
    {"id": st.text(max_size=140), "source": st.sampled_from(["s", "", "x" * 200]), "type": st.sampled_from(["prompt", "a" * 201, "t\n"])},
    optional={
        "time": times, "specversion": st.sampled_from(["1.0", "0.3", 1]), "subject": st.text(max_size=10) | json_values,
        "data": json_values | st.fixed_dictionaries(
            {}, optional={name: json_values | st.integers(0, 99) for name in ("model", "credits", "tokens", "type", "value", "prompt_tokens", "output_tokens")},
        ),
    },
)  # fmt: skip
bodies = st.one_of(
    st.binary(max_size=100), json_values.map(lambda value: json.dumps(value).encode()), likely.map(lambda event: json.dumps(event).encode()),
    st.lists(likely | json_values, max_size=6).map(lambda events: json.dumps(events).encode()),
)  # fmt: skip


def validate(body: bytes, events_max: int = 50) -> Acceptance:
    """What the endpoint does between the body and Kafka. Raises IngestProblem."""
    headers = Headers({"content-type": "application/json"})
    acceptance = Acceptance(SCOPE, NOW, EVENT_BYTES_MAX)
    elements = OPENMETER.read(headers, body, NOW)
    acceptance.validate_foreign(elements, OPENMETER.name, MAPPING)  # type: ignore[arg-type]
    OPENMETER.answer(headers, Outcome(acceptance.verdict, elements, {}))
    return acceptance


@given(bodies)
def test_each_event_has_a_disposition_or_the_request_is_refused(body: bytes) -> None:
    try:
        verdict = validate(body).verdict
    except IngestProblem as refused:
        problem = refused
    else:
        sent = json.loads(body)
        assert verdict.events == (len(sent) if isinstance(sent, list) else 1)
        return
    assert problem.status in (400, 413, 422, 403)
    assert OPENMETER.answer_problem(Headers({}), problem).status_code in (400, 413, 403)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 1_000_000, 400), (b'{"a":' * 100_000, 400), (b"[" + b"[]," * 20_000 + b"[]]", 413), (b"[" + b"1," * 60 + b"1]", 413),
        (b'{"id":"1","source":"s","type":"t","data":' + b"[" * 400 + b"]" * 400 + b"}", 0), (b"{" + b'"a":"b",' * 900 + b'"id":1}', 422),
        (b'{"id":"1","source":"s","type":"t","data":{"credits":' + b"9" * 1_500 + b"}}", 422),
        (b'{"id":"1","source":"s","type":"t","data":{"credits":1e999999999}}', 422),
        (b'{"id":"1","source":"s","type":"t","data":{"credits":1e-999999999}}', 422), (b'{"id":"\\ud800","source":"s","type":"t"}', 400),
    ],
)  # fmt: skip
def test_bombs_are_refused_at_once(body: bytes, status: int) -> None:
    if status:
        with pytest.raises(IngestProblem) as refused:
            validate(body)
        assert refused.value.status == status
    else:
        assert validate(body).verdict.accepted == 1


def test_fifty_rules_with_all_conditions_cost_a_bounded_time() -> None:
    """Each rule but the last misses by its last condition."""
    conditions = [{"at": f"/data/{number}", "exists": True} for number in range(19)]
    rules = [rule(str(number), when=[*conditions, {"at": "/type", "is": f"t{number}"}]) for number in range(50)]
    mapping = compile_mapping(decode_document(json.dumps(document(*rules)).encode()))
    data = {str(number): number + 1 for number in range(19)} | {"model": "gpt"}
    event: dict[str, Any] = {
        "id": "e",
        "source": "s",
        "type": "t49",
        "time": (NOW - timedelta(1)).isoformat(),
        "data": data,
    }
    acceptance = Acceptance(SCOPE, NOW, EVENT_BYTES_MAX)
    body = json.dumps([event | {"id": str(number)} for number in range(50)]).encode()
    elements = OPENMETER.read(Headers({"content-type": "application/json"}), body, NOW)
    acceptance.validate_foreign(elements, "openmeter", mapping)  # type: ignore[arg-type]
    assert acceptance.verdict.accepted == 50


def test_turns_end_by_time_and_lose_no_event() -> None:
    def slowly() -> Iterator[int]:
        for number in range(100):
            until = time.perf_counter() + 0.001
            while time.perf_counter() < until:
                pass
            yield number

    left, turns = slowly(), []
    for first in left:
        turns.append([first, *take_until(time.perf_counter() + TURN_S, left)])
    assert [number for turn in turns for number in turn] == list(range(100))
    assert len(turns) >= 100 // (TURN_S * 1000 + 2)


@pytest.mark.parametrize("protocol", ["lago", "litellm", "openmeter", "native"])
def test_a_body_is_decoded_in_little_memory(protocol: str) -> None:
    """Else a few large requests of one organization would end the process, and with it the requests of all."""
    nested = b"[" + b",".join([b'{"a":{"b":{}}}'] * 14_000) + b"]"
    members = {
        "lago": b'"transaction_id":"%d","external_subscription_id":"s","code":"c","properties":{"x":%b}',
        "litellm": b'"id":"%d","metadata":{"x":%b}',
        "openmeter": b'"id":"%d","source":"s","type":"t","data":%b',
        "native": b'"id":"%d","subject":"org_acme","data":%b',
    }[protocol]
    elements = [b"{%b}" % (members % (number, nested)) for number in range(8)]
    if protocol == "native":  # one that is too large
        elements = [b"{%b}" % (members % (0, b"[" + b",".join([nested] * 8) + b"]"))]
    body = b"[" + b",".join(elements) + b"]"
    if protocol == "lago":
        body = b'{"events":%b}' % body
    every = [each for each in adapters(10_000, 256 * 1024) if each.name == protocol]
    adapter = next((each for each in every if any(path.endswith("batch") for path in each.paths)), every[0])
    acceptance = Acceptance(SCOPE, NOW, 256 * 1024)
    tracemalloc.start()
    try:
        read = adapter.read(Headers({"content-type": "application/json"}), body, NOW)
        if protocol == "native":
            acceptance.validate_events(map(bytes, read))  # type: ignore[arg-type]
        else:
            acceptance.validate_foreign(read, protocol, MAPPING)  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert acceptance.verdict.events == len(elements)
    assert peak < 15 * len(body), f"{peak / len(body):.0f} times the body"
