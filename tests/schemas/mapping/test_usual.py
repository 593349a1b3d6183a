"""The fast path of placing usual events, held against the exact path."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
from flexcredits_schemas.codec import encode
from flexcredits_schemas.mapping.document import Rule
from flexcredits_schemas.mapping.foreign import Foreign, Unplaced
from flexcredits_schemas.mapping.rules import CompiledRule
from hypothesis import given
from hypothesis import strategies as st
from support.data.mappings import rule

RULE = rule(
    usage={
        "product": {"value": "assistant"},
        "feature_kind": {"value": "model"},
        "feature": {"at": ["/a/b/model", "/a/b/other"]},
        "surface": {"at": "/surface", "default": "web"},
        "group": {"at": "/a/group"},
        "agent": {"id": {"at": "/a/b/agent"}, "name": {"at": "/a/b/name"}, "kind": {"value": "saved"}},
        "actor": {"id": {"at": ["/a/b/user", "/a/b/end~1user"]}, "kind": {"value": "service_account"}},
        "run": {"id": {"at": "/a/b/run"}, "parent_id": {"at": "/a/b/0"}},
        "quantities": {
            "output_tokens": {"at": "/a/b/out"},
            "input_tokens": {"at": ["/a/b/in", "/a/b/prompt"]},
        },
    }
)
NAMES = ("model", "other", "agent", "name", "user", "end/user", "run", "0")
ODD = [
    "", 'a "b" \\', "ü", "e\u0301", "a\nb", "\x7f", "\ud800", "x" * 64, "x" * 65, "x" * 129, "x" * 254, "x" * 255, "x" * 300, -1, 10**9, 10**9 - 1,
    2**70, True, False, None, "7", "07", "1.50", Decimal("2.5"), Decimal("4"), [1], {},
]  # fmt: skip
usual = st.fixed_dictionaries(
    {},
    optional={name: st.sampled_from(["x", "gpt-5", "usr_1"]) for name in NAMES}
    | {name: st.integers(0, 5) for name in ("in", "out", "prompt")},
)


@st.composite
def events(draw: st.DrawFn) -> Any:
    """A usual event, with up to two odd values in it; seldom something else."""
    members = draw(usual)
    members |= draw(st.dictionaries(st.sampled_from((*NAMES, "in", "out", "prompt")), st.sampled_from(ODD), max_size=2))
    event: dict[str, Any] = {"a": {"b": members}}
    event |= draw(st.sampled_from([{}, {}, {}, {"surface": "slack"}, {"surface": "x" * 65}, {"surface": 5}]))
    event["a"] |= draw(st.sampled_from([{}, {}, {}, {"group": "g"}, {"group": "x" * 129}, {"group": None}]))
    odd: list[Any] = [
        None,
        [],
        "a",
        5,
        {"a": None},
        {"a": []},
        {"a": "x"},
        {"a": {"b": []}},
        {"a": {"b": [5]}},
        {"a": {"b": "x"}},
    ]
    return draw(st.sampled_from([event] * 30 + odd))


times = st.sampled_from(
    [
        datetime(2026, 11, 30, 1, 2, 3, 456789, UTC),
        datetime(2026, 11, 30, tzinfo=UTC),
        datetime(2026, 11, 30, 5, tzinfo=UTC),
        datetime(2026, 11, 30, tzinfo=timezone(timedelta(hours=2))),
    ]
)


def compile_rule() -> CompiledRule:
    return CompiledRule(msgspec.convert(RULE, Rule), "/rules/0")


def result(compiled: CompiledRule, foreign: Foreign) -> bytes | tuple[str, str]:
    try:
        return encode(compiled.place(foreign, "acme"))
    except Unplaced as error:
        return error.pointer, error.detail


@given(events(), times, st.sampled_from(["e-1", "e-1", "e-1", "ü", "", "a\tb", "x" * 128, "x" * 129]))
def test_the_fast_path_places_as_the_exact_path(event: Any, time: datetime, event_id: str) -> None:
    fast, exact = compile_rule(), compile_rule()
    assert fast._usual is not None
    fast._checked_organization = "acme"
    exact._usual = None
    foreign = Foreign(event, event_id, "otlp", time, b"")
    assert result(fast, foreign) == result(exact, foreign)


def test_each_odd_value_in_each_field_is_placed_as_by_the_exact_path() -> None:
    fast, exact = compile_rule(), compile_rule()
    fast._checked_organization, exact._usual = "acme", None
    whole = {"model": "gpt-5", "agent": "agt_1", "user": "usr_1", "run": "run_1", "in": 5, "out": 2}
    time = datetime(2026, 11, 30, tzinfo=UTC)
    for value in ODD:
        for name in (*NAMES, "in", "out", "prompt"):
            foreign = Foreign({"a": {"b": whole | {name: value}}}, "e-1", "otlp", time, b"")
            assert result(fast, foreign) == result(exact, foreign), (name, value)
        if isinstance(value, str):
            for foreign in (
                Foreign({"a": {"b": whole}}, value, "otlp", time, b""),
                Foreign({"a": {"b": whole}}, "e-1", value, time, b""),
            ):
                assert result(fast, foreign) == result(exact, foreign), value


def test_usual_events_take_the_fast_path() -> None:
    compiled = compile_rule()
    assert compiled._usual is not None
    event = {"a": {"b": {"model": "gpt-5", "user": "u", "run": "r", "in": 5, "out": 0}}}
    foreign = Foreign(event, "e-1", "otlp", datetime(2026, 11, 30, tzinfo=UTC), b"")
    placed = compiled._usual.place(foreign, "acme")
    assert placed is not None
    assert placed == compile_rule().place(foreign, "acme")
