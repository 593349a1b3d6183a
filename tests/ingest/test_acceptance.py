"""Acceptance of events, without any server."""

import json
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aggregator.domain.decode import read_record
from flexcredits_schemas.codec import InvalidEvent, decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest.domain.acceptance import Acceptance, Reason, Verdict, key_of
from ingest.domain.keys import Scope
from support.data.factories import FakeRecord, correction, event, organization, rate, rfc3339, usage, uuid7

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVERYTHING = Scope(frozenset("*"), frozenset("*"))


def validate(
    *events: dict[str, Any] | bytes, scope: Scope = EVERYTHING, now: datetime = NOW, at_most: int = 10_000
) -> Verdict:
    acceptance = Acceptance(scope, now, at_most)
    acceptance.validate_events(item if isinstance(item, bytes) else json.dumps(item).encode() for item in events)
    return acceptance.verdict


def usage_at(time: datetime, event_id: str = "1", **envelope: Any) -> dict[str, Any]:
    return usage(envelope={"time": rfc3339(time), "id": event_id, **envelope})


def disposition_of(verdict: Verdict) -> str:
    """`accepted`, or reason and pointer of the only event."""
    if verdict.accepted:
        return "accepted"
    (rejected,) = verdict.rejected
    return f"{rejected.reason} {rejected.pointer}"


SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (NOW, "accepted"),
        (NOW + timedelta(minutes=5), "accepted"),
        (NOW + timedelta(minutes=5) + SECOND, "outside_window /time"),
        (NOW - 400 * DAY, "accepted"),
        (NOW - 400 * DAY - SECOND, "outside_window /time"),
        (NOW - 3 * 365 * DAY, "outside_window /time"),
    ],
)
def test_usage_time_lies_in_the_window(time: datetime, expected: str) -> None:
    assert disposition_of(validate(usage_at(time))) == expected
    assert disposition_of(validate(correction(usage(), "-1", time=rfc3339(time), id="1"))) == expected


def test_catalog_events_may_be_old_but_not_of_the_future() -> None:
    assert disposition_of(validate(organization(time=rfc3339(NOW - 5000 * DAY)))) == "accepted"
    assert disposition_of(validate(organization(time=rfc3339(NOW + timedelta(minutes=6))))) == "outside_window /time"


@pytest.mark.parametrize(
    "event_id",
    ["20261129104500000000000001", "065e5a96-172c-771e-8000-bbac546447e1", "ABCDEF0123456789ABCDEF0123", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
     "2023-01-01/row-1", "x" * 128, *(uuid7(NOW + days * DAY) for days in (-900, -431, 0, 2, 40_000))],
)  # fmt: skip
def test_no_id_is_refused_for_its_format(event_id: str) -> None:
    assert disposition_of(validate(usage_at(NOW, event_id))) == "accepted"
    read_record(FakeRecord(json.dumps(usage_at(NOW, event_id)).encode(), 0, timestamp=int(NOW.timestamp() * 1000)))


ACME_ASSISTANT = Scope(frozenset({"org_acme"}), frozenset({"assistant"}))
ACME = Scope(frozenset({"org_acme"}), frozenset("*"))
ASSISTANT = Scope(frozenset("*"), frozenset({"assistant"}))
AGENTS = Scope(frozenset("*"), frozenset({"agents"}))


def catalog_event(kind: str, subject: str | None = "org_acme") -> dict[str, Any]:
    data = {
        "organization": {"name": "Acme", "time_zone": "UTC"},
        "contract": {
            "contract_id": "c",
            "from": "2026-01-01",
            "to": "2027-01-01",
            "credit_periods": [{"id": "p", "from": "2026-01-01", "to": "2027-01-01", "total": "1"}],
        },
        "member": {"email": "a@acme.example", "role": "admin"},
        "agent": {"id": "agt_1", "state": "saved"},
        "feature": {
            "product": "assistant",
            "feature_kind": "tool",
            "feature": "jira_search",
            "effective_from": "2026-01-01",
        },
        "rate": rate()["data"],
        "actor": {"id": "p_ada", "display_name": "Ada", "groups": ["sales"]},
        "group": {"id": "sales", "name": "Sales"},
    }[kind]
    return event(f"flexcredits.{kind}.v1", data, subject=subject, time=rfc3339(NOW))


FOR_ALL_PRODUCTS = ("organization", "contract", "member", "rate", "actor", "group")


@pytest.mark.parametrize(
    ("sent", "scope", "expected"),
    [
        (usage_at(NOW), ACME_ASSISTANT, "accepted"),
        (usage_at(NOW, subject="org_other"), ACME_ASSISTANT, "outside_scope /subject"),
        (usage_at(NOW, subject="ORG_ACME"), ACME_ASSISTANT, "outside_scope /subject"),
        (usage_at(NOW), AGENTS, "outside_scope /data/product"),
        (catalog_event("agent"), AGENTS, "accepted"),
        (catalog_event("agent"), ASSISTANT, "outside_scope /type"),
        (catalog_event("feature"), ACME_ASSISTANT, "accepted"),
        (catalog_event("feature"), AGENTS, "outside_scope /data/product"),
        (catalog_event("feature", None), ASSISTANT, "accepted"),
        (catalog_event("feature", None), ACME, "outside_scope /subject"),
        (catalog_event("rate", None), ACME, "outside_scope /subject"),
        (catalog_event("rate", None), ASSISTANT, "outside_scope /type"),
        (catalog_event("rate", None), EVERYTHING, "accepted"),
        (catalog_event("actor", None), EVERYTHING, "invalid /subject"),
        (catalog_event("group", None), EVERYTHING, "invalid /subject"),
        *[(catalog_event(kind), ACME, "accepted") for kind in ("agent", *FOR_ALL_PRODUCTS)],
        *[(catalog_event(kind), ASSISTANT, "outside_scope /type") for kind in FOR_ALL_PRODUCTS],
    ],
)
def test_key_covers_what_it_says(sent: dict[str, Any], scope: Scope, expected: str) -> None:
    assert disposition_of(validate(sent, scope=scope)) == expected


def test_scope_is_checked_for_every_organization_and_product_of_a_request() -> None:
    events = [usage_at(NOW, str(n), subject=name) for n, name in enumerate(["org_acme", "b", "org_acme", "b"])]
    verdict = validate(*events, scope=ACME_ASSISTANT)
    assert verdict.accepted == 2
    assert [rejected.index for rejected in verdict.rejected] == [1, 3]


def test_indexes_count_every_event_across_calls() -> None:
    acceptance = Acceptance(EVERYTHING, NOW, 10_000)
    good, bad = json.dumps(usage_at(NOW)).encode(), b"17"
    for turn in ([good, bad], [good, bad, bad], [bad]):
        acceptance.validate_events(turn)
    assert [rejected.index for rejected in acceptance.verdict.rejected] == [1, 3, 4, 5]
    assert (acceptance.verdict.accepted, acceptance.verdict.duplicates) == (1, 1)


def test_copies_differ_in_what_the_ledger_compares() -> None:
    first = usage_at(NOW)
    renamed = {**first, "data": {**first["data"], "credits": "1.0"}}
    other = {**first, "data": {**first["data"], "credits": "1.1"}}
    repeated, changed = organization(id="o", time=rfc3339(NOW)), organization(id="o", time=rfc3339(NOW - DAY))
    verdict = validate(first, renamed, other, repeated, repeated, changed)
    assert (verdict.accepted, verdict.duplicates) == (2, 2)
    assert [(rejected.index, rejected.reason) for rejected in verdict.rejected] == [
        (2, Reason.CONFLICT),
        (5, Reason.CONFLICT),
    ]


def test_same_id_of_another_source_or_organization_is_another_event() -> None:
    assert validate(usage_at(NOW), usage_at(NOW, source="/b"), usage_at(NOW, subject="b")).accepted == 3


def test_rejected_copy_does_not_stand_in_the_way_of_a_good_one() -> None:
    verdict = validate(usage_at(NOW + DAY), usage_at(NOW))
    assert (verdict.accepted, len(verdict.rejected)) == (1, 1)


def test_rejection_names_the_event_where_it_can() -> None:
    bad = usage_at(NOW + DAY, "the id")
    (rejected,) = validate(bad).rejected
    assert (rejected.id, rejected.organization) == ("the id", "org_acme")
    for raw in (b"17", b"[]", b'{"id": 5}', b"{", b'{"id": "\xff"}', b"[" * 100_000, b'{"a":' * 100_000):
        (rejected,) = validate(raw, at_most=1_000_000).rejected
        assert rejected.id is None
        assert rejected.raw == raw


def test_what_is_quoted_back_is_short_and_can_be_written() -> None:
    name = "\ud800" + "x" * 5000
    (rejected,) = validate(b'{"id":"%b","type":"flexcredits.usage.v1","y":1}' % (b"\\ud83d" + b"x" * 5000)).rejected
    assert len(rejected.id or "") <= 300
    json.dumps([rejected.id, rejected.detail, rejected.pointer], ensure_ascii=False).encode()
    (rejected,) = validate({**usage_at(NOW), "data": {**usage()["data"], name: 1}}).rejected
    json.dumps([rejected.detail, rejected.pointer], ensure_ascii=False).encode()
    assert len(rejected.pointer) <= 300


def test_large_events_are_refused_in_either_form() -> None:
    (rejected,) = validate(b" " * 10_001).rejected
    assert rejected.reason is Reason.TOO_LARGE
    padded = json.dumps(usage_at(NOW)).encode().replace(b"{", b"{" + b" " * 10_000, 1)
    assert disposition_of(validate(padded)) == "too_large "


def test_keys_keep_a_rollup_row_together() -> None:
    agent = {"id": "agt_7", "kind": "system"}
    events = [
        decode(json.dumps(sent).encode())
        for sent in (usage(), usage(product="agents", agent=agent), correction(usage(agent=agent), "1"))
    ]
    assert [key_of(sent) for sent in events] == [  # type: ignore[arg-type]
        b"org_acme|assistant|jira_search",
        b"org_acme|agents|agt_7",
        b"org_acme|assistant|agt_7",
    ]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.from_regex(r"-?\d{1,14}(\.\d{0,8})?(e-?\d{1,3})?"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.tuples(st.sampled_from(["", "data"]), st.integers(0, 8), JSON_VALUES), max_size=3), st.booleans())
def test_what_is_accepted_reads_the_same_everywhere(changes: list[tuple[str, int, Any]], ascii_only: bool) -> None:
    """The aggregator reads the canonical bytes with the same decoder, and must get the same event."""
    sent = usage_at(NOW, agent={"id": "a", "kind": "saved", "name": "ä"})
    for place, number, value in changes:
        target = sent["data"] if place == "data" and isinstance(sent["data"], dict) and sent["data"] else sent
        target[list(target)[number % len(target)]] = value
    raw = json.dumps(sent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    verdict = validate(raw)
    assert verdict.accepted + len(verdict.rejected) == 1
    for _, canonical in verdict.usage + verdict.catalog_events:
        assert encode(decode(canonical)) == canonical
        assert disposition_of(validate(canonical)) == "accepted"


changed_events = st.tuples(
    st.sampled_from(["usage", "correction", "organization"]),
    st.lists(st.tuples(st.sampled_from(["", "data"]), st.integers(0, 8), JSON_VALUES), max_size=2),
    st.sampled_from([0, 299, 301, 359, 361, -86_400 * 400 - 1, -86_400 * 400 - 3599, -86_400 * 400 - 3601]),
    st.integers(0, 2**64),
)


def write_straight(kind: str, changes: list[tuple[str, int, Any]], late_s: int, seed: int) -> bytes:
    """A record that was written directly to the topic: an event with other values, another time, or other bytes."""
    sent = {
        "usage": usage_at(NOW, agent={"id": "a", "kind": "saved"}),
        "correction": correction(usage(), "-1", time=rfc3339(NOW), id="1"),
        "organization": organization(time=rfc3339(NOW), id="1"),
    }[kind]
    sent["time"] = rfc3339(NOW + timedelta(seconds=late_s))
    for place, number, value in changes:
        target = sent["data"] if place == "data" and isinstance(sent["data"], dict) and sent["data"] else sent
        target[list(target)[number % len(target)]] = value
    raw = bytearray(json.dumps(sent).encode())
    chance = random.Random(seed)
    for _ in range(chance.choice([0, 0, 1, 2])):
        at = chance.randrange(len(raw))
        raw[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return bytes(raw)


@given(changed_events)
@settings(max_examples=300)
def test_what_the_aggregator_counts_ingest_would_have_taken(about: tuple[Any, ...]) -> None:
    """Also for records written directly to the topic. One difference: the aggregator extends the window by 1 h and 1 min."""
    raw = write_straight(*about)
    record = FakeRecord(raw, 0, timestamp=int(NOW.timestamp() * 1000))
    verdict = validate(raw)
    use = None
    with suppress(InvalidEvent):
        use = read_record(record)
    if use is None:
        assert not verdict.usage, "ingest accepts what the aggregator refuses"
    elif verdict.usage:
        [(_, canonical)] = verdict.usage
        again = read_record(FakeRecord(canonical, 0, timestamp=record.timestamp))
        assert again._replace(record=record) == use, "the canonical bytes have another meaning"
    else:
        outside = [rejected.reason for rejected in verdict.rejected] == [Reason.OUTSIDE_WINDOW]
        beyond = use.occurred - NOW.timestamp()
        assert outside, verdict.rejected
        assert 300 < beyond <= 360 or -400 * 86_400 - 3600 <= beyond < -400 * 86_400


@given(st.integers(0, 2**64))
def test_no_bytes_make_it_stumble(seed: int) -> None:
    chance = random.Random(seed)
    raw = bytearray(json.dumps(usage_at(NOW)).encode())
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(raw))
        raw[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    verdict = validate(bytes(raw))
    assert verdict.accepted + len(verdict.rejected) == 1
