"""Mutated usage records, to compare the two decoders of the aggregator.

`python -m support.data.mutated_usage SEED RECORDS` compares them on its own, for mutants of the aggregator.
"""

import itertools
import random
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from aggregator.domain.columns.heads import NO_ATTRIBUTION, Heads
from aggregator.domain.columns.read import read
from aggregator.domain.columns.usage_columns import UsageColumns
from aggregator.domain.decode import UsageRecord, read_record
from aggregator.domain.people.attribution import Run
from aggregator.domain.record import Record
from flexcredits_schemas.codec import InvalidEvent, decode, encode
from support.data.factories import FakeRecord, correction, organization, rate, usage

NOW_MS = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp() * 1000)
PIECE, PIECES = 250, 4
BYTES = [*b'"\\{}[],:.0123456789eE+-TZz aAfFn_/\x00\x01\x1f\x7f', 0x80, 0xC3, 0xA9, 0xED, 0xA0, 0xFF]
AMOUNTS = [
    b"1", b"0.000001", b"999999999.999999", b"999999999", b"12.5", b"3.10", b"0", b"0.0", b"0.000000", b"01", b"00.5", b".5",
    b"5.", b"1000000000", b"1e3", b"1E+3", b"5e-7", b"0.0000001", b"1.1234567", b"1.5000000", b"-1", b"+1", b" 1", b"1 ", b"1.2.3", b"",
    b"1,5", b"NaN", b"Infinity", b"0x10", b"1_0", b"9" * 16, b"9" * 17, b"9" * 18, b"9" * 400, b"1.000000\x00", b"\\u0031",
    "١".encode(), "1\u200b".encode(), b'1","credits":"2', b'1"}', b"1/2", b"1:2", b"00", b"10.000000", b"9999999999999999.1",
]  # fmt: skip
TIMES = [
    "2026-11-23T11:00:00Z", "2026-11-23T11:00:00.5Z", "2026-11-23T11:00:00.123456Z", "2026-11-23T11:00:00.1234567Z",
    "2026-11-23T11:00:00.999999999Z", "2026-11-23T11:00:00.99999949Z", "2026-11-23T11:00:00.000001Z",
    "2026-11-23T12:00:00+01:00", "2026-11-23T11:00:00.25+00:00", "2026-11-23T05:15:00.000007-05:45", "2026-11-23t11:00:00z",
    "2026-11-23 11:00:00Z", "2026-11-23T11:00:00", "2026-11-23T11:00Z", "2026-11-23T11:00:60Z", "2026-11-23T24:00:00Z",
    "2026-11-31T11:00:00Z", "2026-02-29T11:00:00Z", "2024-02-29T11:00:00Z", "2026-13-01T11:00:00Z", "2026-00-10T11:00:00Z",
    "2026-11-00T11:00:00Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z", "2026-11-23T11:00:00.Z", "2026-11-23T11:00:00.5", "2026-11-23T11:00:00.5ZZ", "",
    "2026-11-23T11:60:00Z", "2026-1-23T11:00:00Z", "+2026-11-23T11:00:00Z", "2026-11-23T11:00:00,5Z", "2026-11-23T11:00:0٣Z",
    # The edges of the window: 400 days and an hour before NOW_MS, 6 minutes after it.
    "2025-10-19T11:00:00Z", "2025-10-19T10:59:59.999999Z", "2025-10-19T11:00:00.000001Z", "2025-10-19T11:00:00.001Z",
    "2025-10-19T11:00:00.001001Z", "2026-11-23T12:06:00Z", "2026-11-23T12:06:00.000001Z", "2026-11-23T12:05:59.999999Z",
    "2026-11-23T12:05:59.998999Z", "2026-11-23T12:05:59.999Z",
]  # fmt: skip
IDS = [
    "x", "req-1", "01K9ZD8V3Q6T0R5N8B2F4H7JKM", "01k9zd8v3q6t0r5n8b2f4h7jkm", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "A" * 26, "1" * 26, "x" * 36,
    "x" * 128, "x" * 129, "", "0" * 36, "019AA9E2-7A41-7CC3-98C4-DC0C0C073990", "019aa9e2-7a41-7cc3-98c4-dc0c0c073990",
    "019aa9e2-7a41-4cc3-98c4-dc0c0c073990", "019aa9e2-7a41-7cc3-c8c4-dc0c0c073990", "019aa9e2-7a41-7cc3-98c4-dc0c0c07399g",
    "019aa9e27-a41-7cc3-98c4-dc0c0c073990", "00000000-0000-7000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff",
    "016f5e66-e7ff-7000-8000-000000000000", "016f5e66-e800-7000-8000-000000000000", "03bb2cc3-d800-7000-8000-000000000000",
    "é", "é" * 18, "x" * 35 + "\x7f", "a\x7f", "1.12345678", "id\u2028", "--------------------------------" + "----",
]  # fmt: skip
SOURCES = ["/a", "/products/test", "x" * 128, "x" * 129, "", "é", "/a\x7f", 'a","subject":"org_b', "1.1234567", "time"]
ORGANIZATIONS = ["org_acme", "org_b", "org_acme ", "ORG_ACME", "", "-x", "o" * 64, "o" * 65, "é", "org_acme\x7f"]
MEMBERS = [
    b'"data":{"x":1},', b'"data":null,', b'"id":"first",', b'"id":1,', b'"subject":"org_b",', b'"type":"flexcredits.usage.v1",',
    b'"type":"flexcredits.rate.v1",', b'"specversion":"1.0",', b'"specversion":"0.3",', b'"datacontenttype":"application/json",',
    b'"datacontenttype":"text/json; a=b",', b'"datacontenttype":null,', b'"traceparent":"00-1",', b'"dataschema":"http://x/\x7f",', b'"x":[[[]]],',
    b'"time":"2026-11-23T10:00:00Z",', b'"source":"/first",', b'"credits":"5",', b'"unit":"tokens",', b'"unit":null,', b'"agent":null,',
    b'"surface":null,', b'"surface":"rest",', b'"quantity":"7",', b'"feature":"other",', b'"product":"api",', b'"x":"\\ud800",', b'"i\\u0064":"e",',
    b'"\xff":1,', b'"x":' + b"[" * 2000 + b"]" * 2000 + b",", b'"credits":7,', b'"quantity":"",', b'"credits":"",', b'"corrects":null,',
]  # fmt: skip
TAILS = [
    b',"credits":7}', b',"credits":"7"}', b',"surface":"web"}', b',"unit":"tokens"}', b',"unit":"pages"}', b',"quantity":"7","unit":"tokens"}',
    b',"agent":null}', b'} ', b" }", b"}}", b"", b',"x":1}', b',"feature":"other"}', b',"unit":"t\\u006fkens"}', b',"unit":"tokens","quantity":"8"}',
    b',"unit":""}', b',"unit":"tokens","unit":"pages"}', b',"unit":null}', b',"credits":null}', b',}', b',"unit":"a\x7f"}',
]  # fmt: skip
WHO_MEMBERS = [
    b'"actor":{"id":"ana"},', b'"actor":{"id":"ana","kind":"service_account"},', b'"actor":{"id":"ana","kind":"bot"},', b'"actor":{"id":""},',
    b'"actor":{"kind":"user"},', b'"actor":{"id":"ana","name":"Ana"},', b'"actor":null,', b'"actor":{},', b'"actor":"ana",', b'"group":"g",',
    b'"group":null,', b'"group":"",', b'"group":7,', b'"labels":{},', b'"labels":{"a":"b"},', b'"labels":{"b":"1","a":"2"},',
    b'"labels":{"a":"b","a":"c"},', b'"labels":{"a":""},', b'"labels":{"7":"b"},', b'"labels":{"a":1},', b'"labels":null,',
    b'"labels":{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"},', b'"labels":{"time":"2026-11-23T11:00:00.1234567Z"},',
    b'"labels":{"x":"' + b"y" * 65 + b'"},', b'"labels":{"a":"e\xcc\x81"},', b'"labels":{"a":"\\u0301"},', b'"labels":{"run":"r"},',
    b'"run":{"id":"r1"},', b'"run":{"id":"r1","parent_id":"r0"},', b'"run":{"parent_id":"r0","id":"r1"},', b'"run":{"id":"r1","parent_id":null},',
    b'"run":{"id":""},', b'"run":{"id":"r","parent_id":""},', b'"run":null,', b'"run":{},', b'"run":{"id":"\x7f"},', b'"run":{"id":"\xc3\xa9"},',
    b'"run":{"id":"\\u0061"},', b'"run":{"id":"' + b"r" * 129 + b'"},', b'"run":{"id":"r","x":1},', b'"run":{"id":"r","id":"s"},', b'"quantities":{"t":"1"},',
    b'"quantities":null,', b'"quantities":{"t":"0"},', b'"agent":{"id":"a","kind":"saved","actor":{"id":"x"}},', b'"group":"' + b"g" * 129 + b'",',
]  # fmt: skip
PEOPLE = [
    "ana", "é", "e\u0301", "x" * 254, "x" * 255, "a\x7f", ",", 'a","kind":"user', 'a"},"group":"g', 'a"},"run":{"id":"r', 'r","parent_id":"s',
    "\\u0061",
]  # fmt: skip
WHO: list[dict[str, Any]] = [
    {"actor": {"id": "ana"}}, {"actor": {"id": "bob", "kind": "service_account"}}, {"actor": {"id": "ana"}, "group": "g"},
    {"actor": {"id": "ana"}, "group": "g", "labels": {"b": "1", "a": "2"}}, {"group": "g"}, {"labels": {"a": "é"}}, {"run": {"id": "r1"}},
    {"run": {"id": "r1", "parent_id": "r0"}}, {"actor": {"id": "ana"}, "run": {"id": "r1"}}, {"actor": {"id": "é"}, "labels": {"a": "b"}},
    {"actor": {"id": "cy"}, "agent": {"id": "wf_7", "kind": "unsaved"}, "labels": {"a": "b"}, "run": {"id": "r2", "parent_id": "r1"}},
]  # fmt: skip
AMOUNTS_OF_WHO: list[dict[str, Any]] = [
    {}, {"quantity": "5213", "unit": "tokens", "feature_kind": "model", "feature": "m"}, {"surface": None}, {"product": "agents"},
]  # fmt: skip
MARKS = [
    b',"data":', b',"credits":"', b',"quantity":"', b',"unit":"', b'"time":"', b'"subject":"', b',"actor":', b',"group":', b',"labels":',
    b',"run":', b"",
]  # fmt: skip
NAMES = ["jira_search", "é", "e\u0301", "\u0958", "x" * 200, "x" * 201, ',', "credits", "a\x7f", "\u2028", "agt_42", 'a","credits":"1']  # fmt: skip


def seeds() -> list[bytes]:
    """Canonical bytes as ingest writes them, and other valid forms."""
    plain = [
        usage(), usage(credits="12.5", surface=None), usage(quantity="5213", unit="tokens", feature_kind="model", feature="m"),
        usage(product="agents", credits="0.000001"), usage(product="agents", quantity="7.25", unit="tokens"),
        usage(product="api", feature_kind="namespace", feature="Search", surface="rest"), usage(envelope={"subject": "org_b"}),
        usage(quantity="1", unit="pages", envelope={"subject": "org_b", "datacontenttype": "application/json"}),
        usage(agent={"id": "wf_7", "kind": "unsaved"}, envelope={"datacontenttype": "application/json"}), usage(feature="é"),
    ]  # fmt: skip
    plain += [usage(**who, **amount) for who, amount in zip(WHO, itertools.cycle(AMOUNTS_OF_WHO), strict=False)]
    found = [encode(decode(encode(event))) for event in plain]
    found += [encode(event) for event in plain]  # members in another order
    found += [
        encode(correction(plain[0], "-0.5")),
        encode(organization()),
        encode(rate()),
        encode(plain[1]).replace(b":", b": "),
    ]
    return found


def mutate(chance: random.Random, value: bytes, others: Sequence[bytes]) -> bytes:
    """The value after one to three random changes."""
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        value = chance.choices(CHANGES, WEIGHTS)[0](chance, value, others)
    return value


def _change_byte(chance: random.Random, value: bytes, _: Sequence[bytes]) -> bytes:
    at, kind = chance.randrange(len(value) + 1), chance.randrange(3)
    new = bytes([chance.choice(BYTES)])
    return value[:at] + (b"" if kind == 0 else new) + value[at + (kind != 1) :]


def _set_member(name: bytes, values: Sequence[str] | Sequence[bytes]) -> Callable[..., bytes]:
    pattern = re.compile(rb'("' + name + rb'"\s*:\s*")[^"]*')

    def change(chance: random.Random, value: bytes, _: Sequence[bytes]) -> bytes:
        new = chance.choice(values)
        new = new.encode() if isinstance(new, str) else new
        return pattern.sub(lambda found: found[1] + new, value, count=chance.choice([0, 0, 1]))

    return change


def _set_person(chance: random.Random, value: bytes, _: Sequence[bytes]) -> bytes:
    """Changes an id or text of an actor, a group, labels or a run."""
    new = chance.choice(PEOPLE).encode()
    pattern = rb'("(?:actor":\{"id|run":\{"id|parent_id|group|a|b)":")[^"]*'
    return re.sub(pattern, lambda found: found[1] + new, value, count=chance.choice([0, 1]))


def _fresh_amount(chance: random.Random, value: bytes, _: Sequence[bytes]) -> bytes:
    digits = str(chance.randrange(10 ** chance.randrange(1, 11)))
    if chance.random() < 0.7:
        digits += "." + "".join(chance.choices("0123456789", k=chance.randrange(0, 8)))
    return re.sub(rb'("(?:credits|quantity)":")[^"]*', lambda found: found[1] + digits.encode(), value)


def _fresh_time(chance: random.Random, value: bytes, _: Sequence[bytes]) -> bytes:
    at = datetime.fromtimestamp(NOW_MS / 1000 - chance.choice([0, 1, 3600, 86_400 * 402]) * chance.random(), UTC)
    text = at.isoformat(timespec=chance.choice(["seconds", "milliseconds", "microseconds"]))
    text = text.replace("+00:00", chance.choice(["Z", "Z", "Z", "+00:00", "+05:45", "0Z", "1239Z"]))
    return re.sub(rb'("time":")[^"]*', lambda found: found[1] + text.encode(), value)


def _fresh_id(chance: random.Random, value: bytes, _: Sequence[bytes]) -> bytes:
    day = chance.choice([NOW_MS, NOW_MS, chance.getrandbits(48)]) - chance.randrange(86_400_000)
    event_id = UUID(int=(max(0, day) << 80) | (7 << 76) | (2 << 62) | chance.getrandbits(62))
    return re.sub(rb'("id":")[^"]*', lambda found: found[1] + str(event_id).encode(), value, count=1)


def _add_member(chance: random.Random, value: bytes, _: Sequence[bytes]) -> bytes:
    begins = [found.end() for found in re.finditer(rb'[{,](?=")', value)] or [0]
    at = chance.choice(begins)
    return value[:at] + chance.choice(MEMBERS) + value[at:]


def _add_who(chance: random.Random, value: bytes, _: Sequence[bytes]) -> bytes:
    """Adds one or two members before a member, usually before the amount."""
    marks = [b'"credits":"', b'"quantity":"', b'"surface":', b'"product":', b'"run":', b'"group":']
    found = [at for mark in marks[: chance.choice([2, 2, len(marks)])] if (at := value.find(mark)) >= 0]
    at = chance.choice(found or [0])
    members = b"".join(chance.choices(WHO_MEMBERS, k=chance.choice([1, 1, 2])))
    return value[:at] + members + value[at:]


def _add_space(chance: random.Random, value: bytes, _: Sequence[bytes]) -> bytes:
    at = chance.choice([found.end() for found in re.finditer(rb'[{,:"}]', value)] or [0])
    return value[:at] + chance.choice([b" ", b"\n", b"\t", b"\r\n", b"\x0b"]) + value[at:]


def _change_tail(chance: random.Random, value: bytes, _: Sequence[bytes]) -> bytes:
    return value[:-2] + chance.choice(TAILS) + chance.choice([b"}", b"}", b"}", b"} ", b""])


def _cross(chance: random.Random, value: bytes, others: Sequence[bytes]) -> bytes:
    """The beginning of this value with the end of another, cut at a member or anywhere."""
    other = chance.choice(others)
    mark = chance.choice(MARKS)
    if mark and mark in value and mark in other:
        return value.partition(mark)[0] + mark + other.partition(mark)[2]
    return value[: chance.randrange(len(value) + 1)] + other[chance.randrange(len(other) + 1) :]


def _escape(chance: random.Random, value: bytes, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(value)) if value else 0
    return value[:at] + b"\\u%04x" % (value[at] if value else 0x41) + value[at + 1 :]


def _prepend_mark(_: random.Random, value: bytes, __: Sequence[bytes]) -> bytes:
    return b"\xef\xbb\xbf" + value


CHANGES: list[Callable[[random.Random, bytes, Sequence[bytes]], bytes]] = [
    _change_byte, _set_member(b"(?:credits|quantity)", AMOUNTS), _set_member(b"time", TIMES), _set_member(b"id", IDS),
    _set_member(b"source", SOURCES), _set_member(b"subject", ORGANIZATIONS), _set_member(b"(?:feature|name|surface|unit)", NAMES),
    _fresh_amount, _fresh_time, _fresh_id, _add_member, _add_space, _change_tail, _cross, _escape, _prepend_mark,
    _add_who, _set_person,
]  # fmt: skip
WEIGHTS = [10, 8, 8, 8, 4, 4, 4, 12, 12, 6, 8, 4, 6, 8, 3, 0.3, 10, 6]


def mutated_records(seed: int, number: int) -> Iterator[FakeRecord]:
    """Records of random values, one in eight of them unchanged, received at NOW_MS or at another time."""
    chance = random.Random(seed)
    # A seed gives the same records at any time.
    values = [re.sub(rb'"time": ?"[^"]*', b'"time":"2026-11-23T11:30:00.25Z', value) for value in seeds()]
    values = [re.sub(rb'"[0-9a-f-]{36}"', b'"019aa9e2-7a41-7cc3-98c4-dc0c0c073990"', value) for value in values]
    for offset in range(number):
        value = chance.choice(values)
        if chance.random() > 0.125:
            value = mutate(chance, value, values)
        received = (
            NOW_MS
            if chance.random() < 0.9
            else NOW_MS + chance.choice([-1, 1, 17, 3_600_000, -NOW_MS - 1, 2**61, -(2**61)])
        )
        record = FakeRecord(value, offset=offset, timestamp=received)
        if chance.random() < 0.002:
            record.value = None
        yield record


class Comparison(NamedTuple):
    """The numbers of records that became rows, that the exact path accepts, and of all."""

    fast: int
    accepted: int
    records: int


def compare(records: Sequence[Record], heads: Heads) -> Comparison:
    """Assert that each row of the columns is what the exact path reads, and that every other record is left."""
    columns, rest = read(records, heads)
    assert sorted([*columns.records, *rest], key=lambda record: record.offset) == list(records)
    assert [record.offset for record in columns.records] == columns.offset.tolist() == sorted(columns.offset.tolist())
    assert [record.offset for record in rest] == sorted(record.offset for record in rest)
    for row, record in enumerate(columns.records):
        try:
            exact = exact_row(read_record(record))
        except InvalidEvent as error:
            raise AssertionError(f"the exact path refuses {record.value!r}: {error.detail}") from None
        assert row_of(columns, row) == exact, record.value
    accepted = len(columns) + sum(is_usage(record) for record in rest)
    return Comparison(len(columns), accepted, len(records))


def exact_row(use: UsageRecord) -> tuple[object, ...]:
    amount = use.credits if use.unit is None else use.quantity
    assert use.corrects is None
    return (
        use.partition, use.offset, round(use.received * 1000), use.series, use.agent, use.unit, use.identity, use.ledger_bucket,
        round(use.occurred * 1_000_000), amount, use.attribution, use.run,
    )  # fmt: skip


def row_of(columns: UsageColumns, row: int) -> tuple[object, ...]:
    heads, head = columns.heads, int(columns.head[row])
    number, ids = int(columns.attribution[row]), columns.run_ids[row]
    attribution = heads.attributions[number] if number != NO_ATTRIBUTION else None
    run = ids and Run(columns.run[row].tobytes(), ids[0].decode(), (ids[1] or b"").decode())
    return (
        int(columns.partition[row]), int(columns.offset[row]), int(columns.received_ms[row]), heads.series[head], heads.agents[head],
        heads.units[head], columns.identity[row].tobytes(), int(columns.ledger_bucket[row]), int(columns.occurred_us[row]),
        int(columns.amount[row]), attribution, run,
    )  # fmt: skip


def is_usage(record: Record) -> bool:
    try:
        return read_record(record).corrects is None
    except InvalidEvent:
        return False


def compare_mutated(seed: int, number: int) -> Comparison:
    """Compare in pieces. Some share their heads, so that a head learned from any record meets many others."""
    heads, sums = Heads(), [0, 0, 0]
    records = list(mutated_records(seed, number))
    for start in range(0, number, PIECE):
        if start % (PIECE * PIECES) == 0:
            heads = Heads()
        found = compare(records[start : start + PIECE], heads)
        sums = [one + other for one, other in zip(sums, found, strict=True)]
    return Comparison(*sums)


if __name__ == "__main__":
    sys.stdout.write(f"{compare_mutated(int(sys.argv[1]), int(sys.argv[2]))}\n")
