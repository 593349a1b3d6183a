"""What a mapping makes of foreign events: valid usage that has everything its sources found, or the rule and field that failed."""

import json
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any

import pytest
from flexcredits_schemas.codec import decode, encode
from flexcredits_schemas.decoding.decimals import micro
from flexcredits_schemas.events import Usage
from flexcredits_schemas.mapping.apply import Ignored, Mapping, compile_mapping
from flexcredits_schemas.mapping.foreign import ID_MAX, Foreign, Unplaced, bounded
from flexcredits_schemas.mapping.ready_made import ready_made
from hypothesis import given
from hypothesis import strategies as st
from support.data.event_schemas import VALIDATORS
from support.data.mappings import foreign, mapping, rule, usage_sources

USAGE = VALIDATORS["flexcredits.usage.v1"]


def placed(made: Mapping, event: Any, protocol: str = "openmeter") -> Usage:
    usage = made.place(protocol, event if isinstance(event, Foreign) else foreign(event))
    assert isinstance(usage, Usage)
    return usage


def data_of(made: Mapping, event: Any) -> dict[str, Any]:
    return dict(json.loads(encode(placed(made, event)))["data"])


def failure(made: Mapping, event: Any) -> tuple[str, str, str, str]:
    with pytest.raises(Unplaced) as unplaced:
        made.place("openmeter", event if isinstance(event, Foreign) else foreign(event))
    error = unplaced.value
    return error.rule, error.field, error.pointer, error.detail


EVERYTHING = mapping(
    rule(
        usage=usage_sources(
            product={"at": "/product", "default": "assistant"},
            surface={"at": "/surface"},
            agent={"id": {"at": "/agent"}, "name": {"at": "/agent_name"}, "kind": {"value": "saved"}},
            actor={"id": {"at": ["/user", "/subject"]}, "kind": {"at": "/user_kind", "default": "user"}},
            group={"at": "/group"},
            run={"id": {"at": "/run"}, "parent_id": {"at": "/parent"}},
            labels={"region": {"at": "/region"}, "stream": {"at": "/stream"}},
            quantities={"input_tokens": {"at": "/in"}, "output_tokens": {"at": "/out"}},
            feature={"at": "/feature"},
        )
    )
)
texts = st.text(max_size=70) | st.sampled_from(
    ["", "assistant", "agents", "api", "web", "service_account", "x" * 255, "e\u0301"]
)
values = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 10**10), st.decimals(-1, 10**7, places=7).map(str).map(json.loads), texts,
    st.lists(st.integers(), max_size=1), st.dictionaries(texts, st.integers(), max_size=1),
)  # fmt: skip
usual = {
    "feature": st.just("gpt"), "product": st.sampled_from([None, "assistant", "agents"]), "agent": st.just("agt_1"),
    "in": st.integers(0, 10**8), "out": st.sampled_from([None, 0, 12, "7.250000"]),
}  # fmt: skip
unusual = st.dictionaries(
    st.sampled_from([
        "product", "surface", "agent", "agent_name", "user", "subject", "user_kind", "group", "run", "parent", "region", "stream", "in", "out",
        "feature",
    ]),
    values, max_size=4,
)  # fmt: skip


def as_text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


@given(st.fixed_dictionaries(usual), unusual)
def test_what_is_placed_is_valid_usage_and_loses_nothing(known: dict[str, Any], other: dict[str, Any]) -> None:
    event = known | other
    try:
        usage = placed(EVERYTHING, event)
    except Unplaced as error:
        failed = error
    else:
        return check_placed(usage, {name: value for name, value in event.items() if value not in (None, "")})
    assert (failed.rule, failed.reason) == ("model calls", "unplaced")
    assert failed.detail.startswith("rule `model calls`: ")
    assert failed.field
    assert failed.detail.endswith(f"({failed.field})")
    return None


def check_placed(usage: Usage, given_values: dict[str, Any]) -> None:
    document = json.loads(encode(usage))
    USAGE.validate(document)
    assert encode(decode(encode(usage))) == encode(usage)
    data = document["data"]
    expected = {
        "feature": data["feature"], "surface": data.get("surface"), "group": data.get("group"),
        "agent": data.get("agent", {}).get("id"), "run": data.get("run", {}).get("id"),
        "user" if "user" in given_values else "subject": data.get("actor", {}).get("id"),
        **{label: data.get("labels", {}).get(label) for label in ("region", "stream")},
    }  # fmt: skip
    for name, found in expected.items():
        if name in given_values:
            assert found is not None, name
            if not isinstance(given_values[name], float) and as_text(given_values[name]).isascii():  # names are in NFC
                assert found == as_text(given_values[name]), name
        else:
            assert found is None, name
    counted = {unit: Fraction(text) for unit, text in data["quantities"].items()}
    sent = {"input_tokens": given_values.get("in", 0), "output_tokens": given_values.get("out", 0)}
    assert counted == {unit: Fraction(str(amount)) for unit, amount in sent.items() if Fraction(str(amount))}


def test_a_field_is_the_first_value_that_is_there() -> None:
    made = mapping(rule(usage=usage_sources(feature={"at": ["/a", "/b/1/~1c~0", "/d"], "default": "none"})))
    assert data_of(made, {"a": "x", "d": "y"})["feature"] == "x"
    assert data_of(made, {"a": None, "b": [0, {"/c~": 17}], "d": "y"})["feature"] == "17"
    assert data_of(made, {"a": "", "b": {"1": {"/c~": ""}}, "d": "y"})["feature"] == "y"
    assert data_of(made, {})["feature"] == "none"
    assert data_of(made, [])["feature"] == "none"
    assert failure(made, {"d": {}})[3] == "rule `model calls`: /d: expected a text, not an object (feature)"


@pytest.mark.parametrize(("pointer", "found"), [
    ("/l/0", "first"), ("/l/00", None), ("/l/-", None), ("/l/9", None), ("/l/1/", "empty"), ("/", "slash"), ("/l/1/01", "member"), ("/l", "x"),
])  # fmt: skip
def test_pointers_are_those_of_rfc_6901(pointer: str, found: str | None) -> None:
    made = mapping(rule(usage=usage_sources(feature={"at": pointer, "default": "none"})))
    event = {"l": ["first", {"": "empty", "01": "member"}], "": "slash"}
    if found == "x":
        assert failure(made, event)[2] == "/l"
    else:
        assert data_of(made, event)["feature"] == (found or "none")


numbers = st.one_of(
    st.integers(1, 10**6).map(str), st.decimals("0.000001", "99999", places=12).map(str),
    st.floats(1e-6, 1e5).map(repr), st.sampled_from(["1e-6", "2.5E-6", "0.0000125", "1.0E2", "12.500"]),
)  # fmt: skip


@given(numbers, st.booleans(), st.sampled_from(["1", "100", "0.333", "1000000", "0.000000000001"]))
def test_credits_with_a_factor_are_exact_and_rounded_once(number: str, quoted: bool, times: str) -> None:
    made = mapping(rule(usage=usage_sources(credits={"at": "/cost"}, times=times)))
    event = foreign(b'{"data":{"model":"gpt"},"cost":%b}' % (b'"%b"' % number.encode() if quoted else number.encode()))
    exact = Fraction(number) * Fraction(times)
    expected = round(exact * 10**6)  # Python rounds fractions half to even
    if 0 < expected < 10**15:
        assert micro(placed(made, event).data.credits) == expected
    else:
        assert failure(made, event)[1:3] == ("credits", "/cost")


@given(numbers)
def test_without_a_factor_no_digit_is_lost(number: str) -> None:
    made = mapping(rule(usage=usage_sources(quantities={"t": {"at": "/n"}})))
    event = foreign(b'{"data":{"model":"gpt"},"n":%b}' % number.encode())
    if Decimal(number) == Decimal(number).quantize(Decimal("0.000001"), ROUND_HALF_EVEN):
        assert micro((placed(made, event).data.quantities or {})["t"]) == Fraction(number) * 10**6
    else:
        assert failure(made, event)[1:3] == ("quantities/t", "/n")
        assert "more than 6 decimal places" in failure(made, event)[3]


@pytest.mark.parametrize(
    "number",
    [b"1e999999999", b"-1e999999999", b"1e-999999999", b"-1", b"true", b'"many"', b'"1_0"', b"{}", b"9" * 4000],
)
@pytest.mark.parametrize(
    "sources",
    [{"credits": {"at": "/n"}}, {"credits": {"at": "/n"}, "times": "100"}, {"quantities": {"t": {"at": "/n"}}}],
)
def test_numbers_out_of_range_name_their_field(number: bytes, sources: dict[str, Any]) -> None:
    made = mapping(rule(usage=usage_sources(**sources)))
    _, field, pointer, _ = failure(made, foreign(b'{"data":{"model":"gpt"},"n":%b}' % number))
    assert field in ("credits", "quantities/t")
    assert pointer == "/n"


def test_an_amount_without_a_value_is_unplaced() -> None:
    event = {"data": {"model": "gpt"}, "cost": None}
    for sources, field, missing in (
        ({"credits": {"at": ["/cost", "/price"]}}, "credits", "/cost or /price"),
        ({"quantity": {"at": "/n"}, "unit": {"value": "t"}}, "quantity", "/n"),
        ({"quantity": {"value": 2}, "unit": {"at": "/unit"}}, "unit", "/unit"),
        ({"quantities": {"a": {"at": "/a"}, "b": {"at": "/b"}}}, "quantities/a", "/a"),
    ):
        made = mapping(rule(usage=usage_sources(**sources)))
        pointer = missing.partition(" ")[0]
        assert failure(made, event) == (
            "model calls",
            field,
            pointer,
            f"rule `model calls`: {missing} is missing ({field})",
        )


def test_the_first_rule_that_matches_applies() -> None:
    made = mapping(
        rule("free", when=[{"at": "/cost", "is": 0}], ignore=True),
        rule("calls", when=[{"at": "/type", "in": ["call", "chat"]}, {"at": "/test", "exists": False}], usage=usage_sources(surface={"value": "c"})),
        rule("logs", protocol="otlp_logs"),
        rule("flagged", when=[{"at": "/flag", "is": True}], usage=usage_sources(surface={"value": "f"})),
        rule("nothing", when=[{"at": "/none", "is": None}], usage=usage_sources(surface={"value": "n"})),
    )  # fmt: skip
    base = {"data": {"model": "gpt"}}
    for cost in (0, 0.0, -0.0):
        assert made.place("openmeter", foreign({**base, "cost": cost})) == Ignored("free")
    for event, surface in (
        ({"type": "chat"}, "c"), ({"type": "call", "cost": "0", "test": ""}, "c"), ({"type": "call", "flag": True, "test": 1}, "f"),
        ({"none": None, "flag": 1}, "n"), ({"none": None, "cost": False}, "n"),
    ):  # fmt: skip
        assert data_of(made, {**base, **event})["surface"] == surface
    for event in ({}, {"flag": "true"}, {"none": 0}, {"type": ["chat"]}):
        assert failure(made, {**base, **event})[:3] == ("", "", "")
    assert placed(made, base, "otlp_logs").subject == "org_acme"
    with pytest.raises(Unplaced, match="no rule of the key's mapping for lago") as unmapped:
        made.place("lago", foreign(base))
    assert unmapped.value.reason == "unmapped"


def test_lagos_credits_count_also_with_a_cost_of_zero() -> None:
    made = compile_mapping(ready_made()["lago"].document, "org_acme")
    answered = {"model": "gpt", "prompt_tokens": 5, "response_cost": 0.0}
    assert made.place("lago", foreign({"code": "c", "properties": answered})) == Ignored("answers from LiteLLM's cache")
    usage = placed(
        made, {"code": "c", "external_subscription_id": "s", "properties": answered | {"credits": "7"}}, "lago"
    )
    assert json.loads(encode(usage))["data"]["credits"] == "7"


def test_time_is_the_protocols_unless_the_rule_says_otherwise() -> None:
    made = mapping(rule(time={"at": "/at"}))
    base = {"data": {"model": "gpt"}}
    assert placed(made, base).time.isoformat() == "2026-11-30T12:00:00+00:00"
    for at, expected in (
        (1764500000, "2025-11-30T10:53:20+00:00"), (1764500000.25, "2025-11-30T10:53:20.250000+00:00"),
        ("2026-11-30T13:00:00.123456789+02:00", "2026-11-30T11:00:00.123456+00:00"),
    ):  # fmt: skip
        assert placed(made, {**base, "at": at}).time.isoformat() == expected
    exact = foreign(b'{"data":{"model":"gpt"},"at":1764500000.1234569}')
    assert placed(made, exact).time.isoformat() == "2025-11-30T10:53:20.123456+00:00"
    for wrong in ("2026-11-30T13:00:00", "today", True, [], 1e300, -1e300, 1764500000000000000):
        assert failure(made, {**base, "at": wrong})[1:3] == ("time", "/at")


def test_groups_of_fields_without_an_id_are_left_out() -> None:
    made = mapping(rule(usage=usage_sources(
        agent={"id": {"at": "/agent"}, "kind": {"at": "/kind"}}, actor={"id": {"at": "/user"}}, run={"id": {"at": "/run"}},
        labels={"a": {"at": "/a"}},
    )))  # fmt: skip
    assert not {"agent", "actor", "run", "labels"} & set(data_of(made, {"data": {"model": "gpt"}, "kind": "saved"}))
    assert failure(made, {"data": {"model": "gpt"}, "agent": "a"})[1:3] == ("agent/kind", "/kind")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id": "x" * 129}, "id"),
        ({"source": ""}, "source"),
        ({"id": "a\x00"}, "id"),
        ({"id": "\ud800"}, "id or /source"),
    ],
)
def test_an_identity_that_no_event_can_have_is_unplaced(changed: dict[str, str], field: str) -> None:
    event = foreign({"data": {"model": "gpt"}})._replace(**changed)
    assert failure(mapping(), event)[1:3] == (field, "")


def test_long_identities_are_shortened_and_stay_apart() -> None:
    assert bounded("a" * ID_MAX) == "a" * ID_MAX
    long = [bounded("a" * ID_MAX + end) for end in ("b", "c", "")]
    assert len(set(long)) == 3
    assert all(len(text) == ID_MAX for text in long)
