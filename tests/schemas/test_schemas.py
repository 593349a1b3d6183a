"""The contract files: examples are valid, types and schemas agree, and topics are described once."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import yaml
from flexcredits_schemas import SCHEMAS
from flexcredits_schemas.codec import InvalidEvent, decode, encode
from flexcredits_schemas.decoding.decimals import micro
from flexcredits_schemas.identity import amount_of, payload_of
from hypothesis import given
from hypothesis import strategies as st
from support.data.event_schemas import EVENTS, FILES, VALIDATORS, accepts
from support.data.factories import contract, correction, event, organization, rate, usage

DECIMALS = ("credits", "quantity")
EXAMPLES = sorted((SCHEMAS / "examples").rglob("*.json"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_example_is_valid_and_survives_the_codec(path: Path) -> None:
    example = json.loads(path.read_text())
    assert example["type"] == path.parent.name
    VALIDATORS[example["type"]].validate(example)
    canonical = encode(decode(path.read_bytes()))
    VALIDATORS[example["type"]].validate(json.loads(canonical))
    assert encode(decode(canonical)) == canonical


def test_every_type_has_an_example() -> None:
    assert {path.parent.name for path in EXAMPLES} == set(EVENTS)


def test_generated_types_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flexcredits_schemas.generators.events", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_topics_name_their_producers_and_schemas_and_asyncapi_lists_them() -> None:
    described = {path.stem: yaml.safe_load(path.read_text()) for path in (SCHEMAS / "topics").glob("*.yaml")}
    for name, topic in described.items():
        assert topic["name"] == name
        assert topic["producers"], name
        assert topic["config"]["message.timestamp.type"] == "LogAppendTime", (
            "retention must not delete a backdated event"
        )
        assert all(schema in FILES or schema == "alert.v1.json" for schema in topic["schema"])
    asyncapi = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text())
    assert {channel["address"] for channel in asyncapi["channels"].values()} == set(described)
    payloads = [
        message["payload"].get("$ref")
        for message in asyncapi["components"]["messages"].values()
        if "payload" in message
    ]
    events = {f"events/{name}" for name in FILES if name != "common.json"}
    assert events | {"alerts/alert.v1.json"} == {at for at in payloads if at}


def test_examples_of_alerts_are_valid_and_of_each_type() -> None:
    schema = json.loads((SCHEMAS / "alerts" / "alert.v1.json").read_text())
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    examples = [json.loads(path.read_text()) for path in (SCHEMAS / "alerts" / "examples").glob("*.json")]
    for example in examples:
        validator.validate(example)
        assert not validator.is_valid({**example, "data": {}}), example["type"]
    kinds = {schema["$defs"][name]["properties"]["type"]["const"] for name in ("Fired", "Resolved", "Test")}
    assert {example["type"] for example in examples} == kinds


junk = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5),
    st.sampled_from(["assistant", "agents", "api", "model", "namespace", "1.5", "0", "-1", "1e3", "0.1234567", "x" * 300, "a\u0000b"]),
    st.dictionaries(st.sampled_from(["id", "kind", "name"]), st.sampled_from(["a", "saved", "unsaved", 3]), max_size=3),
)  # fmt: skip
fields = st.sampled_from(
    [
        "product",
        "feature_kind",
        "feature",
        "surface",
        "agent",
        "credits",
        "quantity",
        "unit",
        "corrects",
        "reason",
        "else",
    ]
)


@given(st.dictionaries(fields, junk, max_size=3), st.sets(fields, max_size=2), st.booleans())
def test_schema_and_codec_give_the_same_verdict(changed: dict[str, Any], removed: set[str], corrects: bool) -> None:
    document = correction(usage(), "-1") if corrects else usage()
    document["data"] = {name: value for name, value in {**document["data"], **changed}.items() if name not in removed}
    data = document["data"]
    optional = {"surface", "agent"} if corrects else {"surface", "agent", "unit"}
    # The codec treats JSON null in an optional field as absent, so that clients need not remove nulls.
    stripped = {
        **document,
        "data": {name: value for name, value in data.items() if value is not None or name not in optional},
    }
    if any(isinstance(data.get(name), float | int) or "e" in str(data.get(name)).lower() for name in DECIMALS):
        return  # JSON Schema cannot limit decimal places or exponents of numbers; the codec's tests cover them
    assert accepts(document) == VALIDATORS[document["type"]].is_valid(stripped), document


TEAMS: list[tuple[Any, bool]] = [
    ({"name": "Grace Hopper"}, True),
    ({"email": "grace@flexcredits.example"}, True),
    ({"url": "https://flexcredits.example"}, True),
    ({"url": "https://flexcredits.example:8443/contact?customer=acme#team"}, True),
    ({}, False),
    ([], False),
    ({"name": ""}, False),
    ({"name": "Grace", "phone": "1"}, False),
    ({"email": "grace"}, False),
    *(
        ({"name": "Grace", "url": url}, False)
        for url in ("http://flexcredits.example", "javascript:alert(1)", "https://", "https://a b", "https://flexcredits.example@evil.example",
                    "HTTPS://flexcredits.example", "//flexcredits.example", "https://flexcredits.example/\">", "https://a/" + "x" * 500, 7)
    ),
]  # fmt: skip


@pytest.mark.parametrize(("team", "is_valid"), TEAMS)
def test_an_account_team_can_be_reached(team: Any, is_valid: bool) -> None:
    document = contract()
    document["data"]["account_team"] = team
    assert accepts(document) == VALIDATORS[document["type"]].is_valid(document) == is_valid


@pytest.mark.parametrize(
    ("written", "micros"),
    [
        ("1", 10**6),
        (1, 10**6),
        (1.25, 1250000),
        ("0.000001", 1),
        (1e-06, 1),
        (1e5, 10**11),
        ("999999999.999999", 10**15 - 1),
        ("1E+3", 10**9),
        ("1.5e-3", 1500),
        ("1e-06", 1),
        ("1.2500000", 1250000),
        ("007", 7 * 10**6),
    ],
)
def test_decimals_are_read_exactly(written: object, micros: int) -> None:
    event = decode(json.dumps(usage(credits=written)).encode())
    assert micro(event.data.credits) == micros  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "literal",
    ["NaN", "Infinity", "-1", "0", "1e999999", "1e-7", "1.0000001", "1000000000", '"1_0"', '" 1"', '"1e9"', '"1e-7"', '"NaN"', '"Infinity"', '"+1"', '".5"', '"1."', '"1e"',
     '"\\u0661"', "0.1" + "0" * 40 + "1", '""', "true", "null", "[]"],
)  # fmt: skip
def test_bad_credits_are_refused_naming_the_field(literal: str) -> None:
    text = json.dumps(usage(credits="@")).replace('"@"', literal)
    with pytest.raises(InvalidEvent) as refused:
        decode(text.encode())
    assert refused.value.pointer in ("/data/credits", "")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"specversion": "0.3"}, "/specversion"), ({"subject": None}, "/subject"), ({"id": "a\u0000b"}, "/id"), ({"id": ""}, "/id"),
        ({"time": None}, "/time"), ({"time": "yesterday"}, "/time"), ({"time": "2026-11-22T10:00:00"}, "/time"), ({"type": "x"}, "/type"),
        ({"subject": "org acme"}, "/subject"),
    ],
)  # fmt: skip
def test_bad_envelope_is_refused_naming_the_field(change: dict[str, Any], pointer: str) -> None:
    document = {name: value for name, value in {**usage(), **change}.items() if value is not None}
    with pytest.raises(InvalidEvent) as refused:
        decode(json.dumps(document).encode())
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"product": "mail"}, "/data/product"), ({"product": "agents", "agent": None}, "/data/agent"), ({"feature": None}, "/data/feature"),
        ({"product": "api"}, "/data/feature_kind"), ({"credits": None}, "/data"), ({"quantity": "1"}, "/data/unit"),
        ({"credits": "1", "quantity": "1", "unit": "tokens"}, "/data/credits"), ({"feture": "x"}, "/data/feture"),
        ({"agent": {"id": "a", "kind": "robot"}}, "/data/agent/kind"),
    ],
)  # fmt: skip
def test_bad_data_is_refused_naming_the_field(data: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        decode(json.dumps(usage(**data)).encode())
    assert refused.value.pointer == pointer


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_with_a_reason(message: bytes) -> None:
    with pytest.raises(InvalidEvent, match=r"."):
        decode(message)


@pytest.mark.parametrize(
    "message", [b"[" * 100_000, b'{"a":' * 100_000, b'"' + b"x" * 100_000, b"\xff\xfe", b'{"type":"\xff"}']
)
def test_hostile_bytes_are_refused(message: bytes) -> None:
    with pytest.raises(InvalidEvent):
        decode(message)


def test_equal_instants_have_equal_bytes() -> None:
    first = usage(envelope={"id": "one", "time": "2026-11-22T10:00:00Z"})
    second = {**first, "time": "2026-11-22T15:45:00+05:45"}
    assert encode(decode(json.dumps(first).encode())) == encode(decode(msgspec.json.encode(second)))


@pytest.mark.parametrize("written", [0.1 + 0.2, 0.00033000000000000005, "0.30000000000000004", 1e-7, "1.5e-9"])
def test_more_than_six_places_are_refused_with_the_cure(written: object) -> None:
    with pytest.raises(InvalidEvent, match="Round it to 6 places and send a decimal string, such as") as refused:
        decode(json.dumps(usage(credits=written)).encode())
    assert refused.value.pointer == "/data/credits"


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("2026-10-31T23:59:59.9999999Z", "2026-10-31T23:59:59.999999Z"),
        ("2026-10-31T23:59:59.999999999Z", "2026-10-31T23:59:59.999999Z"),
        ("2026-10-31T23:59:59.12345678901234567890Z", "2026-10-31T23:59:59.123456Z"),
        ("2026-11-01T01:59:59.9999999+02:00", "2026-10-31T23:59:59.999999Z"),
        ("2026-10-31T23:59:59.9999995Z", "2026-10-31T23:59:59.999999Z"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z"),
        ("2026-10-31T23:59:59.1234560Z", "2026-10-31T23:59:59.123456Z"),
        ("2026-10-31T23:59:59.9Z", "2026-10-31T23:59:59.900000Z"),
    ],
)
def test_times_are_cut_to_microseconds(written: str, canonical: str) -> None:
    for text in (
        json.dumps(usage(envelope={"time": written})),
        json.dumps(usage(envelope={"time": written}), indent=2),
    ):
        assert json.loads(encode(decode(text.encode())))["time"] == canonical
    sent = rate(effective_from=written)
    in_force = json.loads(encode(decode(json.dumps(sent).encode())))["data"]["effective_from"]
    assert datetime.fromisoformat(in_force) == datetime.fromisoformat(canonical)


def test_cutting_a_time_changes_nothing_else() -> None:
    like_a_time = "2026-10-31T23:59:59.9999999Z"
    sent = usage(feature=like_a_time, envelope={"id": like_a_time, "time": like_a_time})
    sent["data"]["feature"] = f'"time":"{like_a_time}"'
    event = json.loads(encode(decode(json.dumps(sent).encode())))
    assert event["id"] == like_a_time
    assert event["data"]["feature"] == sent["data"]["feature"]


def payload(document: dict[str, Any]) -> bytes:
    use = decode(json.dumps(document).encode())
    return payload_of(use, amount_of(use), use.time.timestamp())  # type: ignore[arg-type]


@given(st.datetimes(datetime(2025, 1, 1), datetime(2037, 1, 1)), st.integers(0, 999))  # noqa: DTZ001 - written with Z
def test_times_of_one_millisecond_are_copies_and_others_are_not(instant: datetime, microseconds: int) -> None:
    first = instant.replace(microsecond=instant.microsecond // 1000 * 1000 + microseconds)
    cut, other = (
        usage(envelope={"id": "1", "time": f"{at.isoformat(timespec='milliseconds')}Z"})
        for at in (first, first + timedelta(milliseconds=1))
    )
    sent = usage(envelope={"id": "1", "time": f"{first.isoformat(timespec='microseconds')}Z"})
    assert payload(sent) == payload(cut) != payload(other)


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8", "text/json",
     "application/vnd.acme.usage+json"],
)  # fmt: skip
def test_every_media_type_of_json_is_taken_and_written_plainly(media_type: str) -> None:
    document = usage(envelope={"datacontenttype": media_type})
    assert VALIDATORS[document["type"]].is_valid(document)
    assert json.loads(encode(decode(json.dumps(document).encode())))["datacontenttype"] == "application/json"


@pytest.mark.parametrize("media_type", ["text/plain", "application/jsonx", "json", "application/xml", "", "x" * 300])
def test_other_media_types_of_data_are_refused(media_type: str) -> None:
    document = usage(envelope={"datacontenttype": media_type})
    assert not VALIDATORS[document["type"]].is_valid(document)
    with pytest.raises(InvalidEvent) as refused:
        decode(json.dumps(document).encode())
    assert refused.value.pointer == "/datacontenttype"


def test_a_byte_order_mark_is_ignored() -> None:
    message = json.dumps(usage()).encode()
    assert decode(b"\xef\xbb\xbf" + message) == decode(message)


COMPOSED, DECOMPOSED = "Büro-Prüfung", "Bu\u0308ro-Pru\u0308fung"


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_names_are_the_same_in_nfc_and_nfd_and_ids_are_not(ensure_ascii: bool) -> None:
    def sent(text: str) -> Any:
        agent = {"id": text, "name": text, "kind": "saved"}
        document = usage(product="agents", feature=text, surface=text, agent=agent, quantity="1", unit=text)
        document |= {"id": text, "source": text, "time": "2026-11-22T10:00:00Z"}
        return decode(json.dumps(document, ensure_ascii=ensure_ascii).encode())

    nfc, nfd = sent(COMPOSED), sent(DECOMPOSED)
    for field in ("feature", "surface", "unit"):
        assert getattr(nfd.data, field) == getattr(nfc.data, field) == COMPOSED
    assert nfd.data.agent.name == COMPOSED
    assert (nfd.id, nfd.source, nfd.data.agent.id) == (DECOMPOSED,) * 3
    assert decode(encode(nfd)) == nfd


def test_catalog_events_name_the_same_rows_as_usage() -> None:
    key = {"product": "assistant", "feature_kind": "tool", "effective_from": "2026-01-01"}
    feature = event(
        "flexcredits.feature.v1", {**key, "feature": DECOMPOSED, "display_name": DECOMPOSED, "category": DECOMPOSED}
    )
    named = organization()
    named["data"]["name"] = DECOMPOSED
    events = [decode(json.dumps(sent).encode()) for sent in (feature, rate(feature=DECOMPOSED, unit=DECOMPOSED), named)]
    assert (events[0].data.feature, events[0].data.display_name, events[0].data.category) == (COMPOSED,) * 3  # type: ignore[union-attr]
    assert (events[1].data.feature, events[1].data.unit) == (COMPOSED,) * 2  # type: ignore[union-attr]
    assert events[2].data.name == COMPOSED  # type: ignore[union-attr]


def test_a_name_that_is_too_long_in_nfc_is_refused() -> None:
    with pytest.raises(InvalidEvent) as refused:
        decode(json.dumps(usage(surface="\u0344" * 40)).encode())
    assert refused.value.pointer == "/data/surface"


@pytest.mark.parametrize("exponent", [7, 100, 999, 1001, 999_999, 1_000_000, 999_999_999, 10**12])
@pytest.mark.parametrize("mantissa", ["1", "0", "1.5", "0.000", "9" * 900])
def test_exponents_of_any_size_are_refused(mantissa: str, exponent: int) -> None:
    for sign in ("", "-"):
        for literal in (
            f"{mantissa}e{sign}{exponent}",
            f'"{mantissa}e{sign}{exponent}"',
            f'"{mantissa}E{sign}{exponent}"',
        ):
            text = json.dumps(usage(credits="@")).replace('"@"', literal)
            if mantissa[0] in "19" and exponent == 7 and not sign and len(mantissa) < 9:
                decode(text.encode())
                continue
            with pytest.raises(InvalidEvent):
                decode(text.encode())


@pytest.mark.parametrize(
    "literal", ["9" * 5000, "0." + "0" * 5000 + "1", '"' + "9" * 5000 + '"', '"0.' + "0" * 5000 + '1"']
)
def test_amounts_of_any_length_are_refused(literal: str) -> None:
    with pytest.raises(InvalidEvent):
        decode(json.dumps(usage(credits="@")).replace('"@"', literal).encode())
