"""What usage says of actor, group, labels, run and several quantities: schema, codec and payload hash agree."""

import json
from typing import Any
from unicodedata import normalize

import pytest
from flexcredits_schemas.codec import InvalidEvent, decode, encode
from flexcredits_schemas.decoding.decimals import micro
from flexcredits_schemas.events import Usage
from flexcredits_schemas.identity import amount_of, payload_of
from hypothesis import given
from hypothesis import strategies as st
from support.data.event_schemas import VALIDATORS, accepts
from support.data.factories import usage

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)
keys = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,9}", fullmatch=True)
decimals = st.sampled_from(["0", "0.000", "1", "812", "0.000001", "12.50", "007", "999999999.999999"])
runs = st.fixed_dictionaries({"id": texts}, optional={"parent_id": texts})
actors = st.fixed_dictionaries({"id": texts}, optional={"kind": st.sampled_from(["user", "service_account"])})
units = texts.map(lambda text: normalize("NFC", text))
quantities = st.dictionaries(units, decimals, max_size=15).map(lambda given: given | {"tokens": "5"})
said = st.fixed_dictionaries(
    {},
    optional={
        "actor": actors, "group": texts, "labels": st.dictionaries(keys, texts, max_size=5), "run": runs,
        "quantities": quantities,
    },
)  # fmt: skip


def event_with(data: dict[str, Any]) -> dict[str, Any]:
    return usage(**data, **({"credits": None} if "quantities" in data else {}))


def read(document: dict[str, Any], **options: Any) -> Usage:
    event = decode(json.dumps(document, **options).encode())
    assert isinstance(event, Usage)
    return event


def payload(event: Usage) -> bytes:
    return payload_of(event, amount_of(event), event.time.timestamp())


@given(said, st.booleans(), st.randoms())
def test_every_valid_event_survives_the_codec_and_its_copies_are_equal(
    data: dict[str, Any], ensure_ascii: bool, chance: Any
) -> None:
    document = event_with(data)
    VALIDATORS[document["type"]].validate(document)
    event = read(document, ensure_ascii=ensure_ascii)
    canonical = encode(event)
    VALIDATORS[document["type"]].validate(json.loads(canonical))
    assert encode(decode(canonical)) == canonical
    assert payload(read(json.loads(canonical))) == payload(event)
    shuffled = json.loads(json.dumps(document))
    for name in ("labels", "quantities"):
        if name in data:
            members = list(data[name].items())
            chance.shuffle(members)
            shuffled["data"][name] = dict(members)
    assert encode(read(shuffled)) == canonical
    wanted = {unit: float(amount) for unit, amount in data.get("quantities", {}).items() if float(amount)}
    assert sorted(micro(at) / 1e6 for at in (event.data.quantities or {}).values()) == sorted(wanted.values())


@given(said, said)
def test_events_that_say_something_else_are_no_copies(first: dict[str, Any], second: dict[str, Any]) -> None:
    document = event_with(first)
    one = read(document)
    other = read({**event_with(second), "id": document["id"], "time": document["time"]})
    for event in (one, other):
        if event.data.run is not None:
            event.data.run.parent_id = None  # is not compared
    assert (payload(one) == payload(other)) == (encode(one) == encode(other))


junk = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), texts, st.sampled_from(["", "a\n", "a\u0000", "x" * 300, {}, []]),
    st.dictionaries(texts | st.sampled_from(["id", "kind", "a\n", "", "x" * 70, "p.a-1"]), texts | st.integers(0, 2), max_size=6),
    st.fixed_dictionaries({"id": texts, "kind": st.sampled_from(["user", "robot"])}),
)  # fmt: skip


@given(said, st.dictionaries(st.sampled_from(["actor", "group", "labels", "run"]), junk, min_size=1, max_size=2))
def test_schema_and_codec_give_the_same_verdict(data: dict[str, Any], changed: dict[str, Any]) -> None:
    document = event_with(data)
    document["data"] |= changed
    stripped = {**document, "data": {name: value for name, value in document["data"].items() if value is not None}}
    assert accepts(document) == VALIDATORS[document["type"]].is_valid(stripped), document


ENVELOPE = (
    b'{"type":"flexcredits.usage.v1","specversion":"1.0","id":"e1","source":"/products/assistant","subject":"org_acme",'
    b'"time":"2026-11-29T10:00:00Z","data":'
)
YESTERDAY = [
    (
        b'{"product":"assistant","feature_kind":"tool","feature":"jira_search","surface":"web","credits":"1.25"}}',
        "a0128eec678512d40b183ade937bbd35",
    ),
    (
        b'{"product":"agents","feature_kind":"model","feature":"gpt","agent":{"id":"agt_42","name":"Report","kind":"saved"},'
        b'"quantity":"5213","unit":"tokens"}}',
        "5b433697fb89126a8c598f0985c5c767",
    ),
    (
        '{"product":"api","feature_kind":"namespace","feature":"Suche/é","credits":"0.000001"}}'.encode(),
        "bdc2ee4f01dd6fb837c088ff51dab9b8",
    ),
]


@pytest.mark.parametrize(("data", "expected"), YESTERDAY)
def test_events_without_the_new_fields_have_the_bytes_and_hash_that_they_had_before(data: bytes, expected: str) -> None:
    event = decode(ENVELOPE + data)
    assert isinstance(event, Usage)
    assert encode(event) == ENVELOPE + data
    assert payload(event).hex() == expected


@pytest.mark.parametrize(
    ("data", "pointer", "detail"),
    [
        ({"actor": {"id": "a", "kind": "robot"}}, "/data/actor/kind", "must be one of user, service_account"),
        ({"actor": {"kind": "user"}}, "/data/actor/id", "missing"),
        ({"actor": {"id": "a", "name": "Ada"}}, "/data/actor/name", "unknown field"),
        ({"labels": {"1a": "x"}}, "/data/labels/1a", "regex"),
        ({"labels": {"ok": "x", "cost center": "x"}}, "/data/labels/cost center", "regex"),
        ({"labels": {"a/b~c": "x"}}, "/data/labels/a~1b~0c", "regex"),
        ({"labels": {"a\n": "x"}}, "/data/labels/a\N{REPLACEMENT CHARACTER}", "control characters"),
        ({"labels": dict.fromkeys("abcdef", "x")}, "/data/labels", "length <= 5"),
        ({"labels": {"a": "x", "b": "x" * 65}}, "/data/labels/b", "length <= 64"),
        ({"labels": {"a": "\u0344" * 40}}, "/data/labels/a", "length <= 64"),
        ({"labels": {"a": None}}, "/data/labels/a", "got `null`"),
        ({"run": {}}, "/data/run/id", "missing"),
        ({"quantities": {"tokens": "0", "images": "0.0"}}, "/data/quantities", "at least one quantity is above 0"),
        ({"quantities": {}}, "/data/quantities", "length >= 1"),
        ({"quantities": {"tokens": "1", "pages": "-1"}}, "/data/quantities/pages", "out of range"),
        ({"quantities": {"a/b": "1.1234567"}}, "/data/quantities/a~1b", "more than 6 decimal places"),
        ({"quantities": {"": "1"}}, "/data/quantities/", "length >= 1"),
        ({"quantities": {"a\u0000": "1"}}, "/data/quantities/a\N{REPLACEMENT CHARACTER}", "control characters"),
        ({"quantities": {"é": "1", "e\u0301": "1"}}, "/data/quantities", "twice"),
        ({"quantities": {"tokens": "1"}, "credits": "1"}, "/data/quantities", "excludes"),
    ],
)
def test_errors_name_the_place(data: dict[str, Any], pointer: str, detail: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        read(usage(**{"credits": None, **data} if "quantities" in data else data))
    assert refused.value.pointer == pointer
    assert detail in refused.value.detail


@pytest.mark.parametrize(
    "message", [ENVELOPE + b'{"labels":{"1":"x"}},"data":5}', ENVELOPE + b'{"labels":{"1":"x"}', ENVELOPE + b'{"labels":{"1":"x"},"labels":{}}}']
)  # fmt: skip
def test_an_invalid_member_that_cannot_be_found_again_is_refused_all_the_same(message: bytes) -> None:
    with pytest.raises(InvalidEvent) as refused:
        decode(message)
    assert refused.value.pointer == "/data/labels"


def test_a_unit_or_label_called_time_is_no_instant() -> None:
    with pytest.raises(InvalidEvent, match="more than 6 decimal places") as caught:
        read(event_with({"quantities": {"time": "12.3456789"}}))
    assert caught.value.pointer == "/data/quantities/time"
    assert read(event_with({"labels": {"time": "v1.2345678"}})).data.labels == {"time": "v1.2345678"}
    instants = {"time": "2026-11-30T10:00:00.123456789Z", "effective_from": "2026-11-30T10:00:00.1234567Z"}
    event = read(event_with({"labels": {**instants, "b": "c"}}))
    assert event.data.labels == {**instants, "b": "c"}
    with pytest.raises(InvalidEvent) as refused:
        read(event_with({"labels": {"time": f"2026-11-30T10:00:00.123456{'7' * 60}Z"}}))
    assert refused.value.pointer == "/data/labels/time"
