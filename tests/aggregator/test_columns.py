"""The columns read what the exact path reads, or leave the record to it."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from aggregator.db.progress import drop_replayed
from aggregator.db.quarantine import only, without
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.columns import heads as heads_module
from aggregator.domain.columns.heads import Heads
from aggregator.domain.columns.read import read
from aggregator.domain.columns.texts import parse_amounts, parse_times
from aggregator.domain.columns.usage_columns import concatenate, empty_columns
from aggregator.domain.dead_letter_limit import DeadLetterLimit, DeadLetterLimitExceeded
from aggregator.domain.decode import (
    DecodedBatch,
    empty_batch,
    organizations_of,
    read_record,
    series_of,
    to_uses,
    traceparents,
)
from aggregator.domain.decode import read as decode_batch
from flexcredits_schemas.codec import decode, encode
from hypothesis import given
from hypothesis import strategies as st
from support.data.factories import FakeRecord, correction, usage, uuid7
from support.data.mutated_usage import compare, compare_mutated, exact_row, mutate, row_of, seeds


def canonical(event: dict[str, Any]) -> bytes:
    return encode(decode(json.dumps(event).encode()))


def records_of(values: Sequence[bytes | dict[str, Any]]) -> list[FakeRecord]:
    """Records of bytes, or of the bytes that ingest writes for an event."""
    return [
        FakeRecord(canonical(value) if isinstance(value, dict) else value, offset)
        for offset, value in enumerate(values)
    ]


USUAL = [
    usage(),
    usage(credits="12.5", surface=None),
    usage(feature="日本語"),
    usage(product="agents"),
    usage(agent={"id": "wf_7", "kind": "unsaved"}),
    usage(product="api", feature_kind="namespace", feature="Search"),
    usage(quantity="5213", unit="tokens"),
    usage(product="agents", quantity="0.5", unit="tokens"),
    usage(envelope={"datacontenttype": "application/json"}),
    usage(envelope={"id": "01K9ZD8V3Q6T0R5N8B2F4H7JKM"}),
    usage(envelope={"id": "req-2026-11-22-000017"}),
    usage(envelope={"id": uuid7().upper()}),
    usage(envelope={"source": "/" + "s" * 127}),
]


def test_usual_usage_needs_no_exact_path() -> None:
    records = records_of(USUAL * 2)
    columns, rest = read(records, Heads())
    assert not rest
    assert [row_of(columns, row) for row in range(len(columns))] == [exact_row(read_record(at)) for at in records]


@pytest.mark.parametrize("indent", ["compact", "reordered"])
def test_producers_that_write_to_the_topic_themselves_may_order_attributes_as_they_like(indent: str) -> None:
    event = usage()
    if indent == "reordered":
        event = {name: event[name] for name in ("data", "time", "subject", "type", "source", "id", "specversion")}
    columns, rest = read(records_of([json.dumps(event, separators=(",", ":")).encode()]), Heads())
    assert (len(columns), rest) == (1, [])


def test_what_is_not_usual_is_left_in_order() -> None:
    values = [usage(), b"{", correction(usage(), "-1"), usage(), json.dumps(usage()).encode(), usage()]
    columns, rest = read(records_of(values), Heads())
    assert columns.offset.tolist() == [0, 3, 5]
    assert [record.offset for record in rest] == [1, 2, 4]


def test_no_records_are_no_rows() -> None:
    columns, rest = read([], Heads())
    assert (len(columns), rest) == (0, [])


def test_both_decoders_agree_on_mutated_records() -> None:
    found = compare_mutated(1, 10_000)
    assert found.fast > 2_000, "most changes made the records unusual"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_both_decoders_agree_on_many_mutated_records(seed: int) -> None:
    assert compare_mutated(seed, 120_000).fast > 24_000


@given(st.data(), st.randoms(use_true_random=False))
def test_both_decoders_agree_on_any_sequence_of_changes(data: st.DataObject, chance: random.Random) -> None:
    values, heads = seeds(), Heads()
    for offset in range(data.draw(st.integers(1, 4))):
        value = mutate(chance, data.draw(st.sampled_from(values)), values)
        compare([FakeRecord(value, offset)], heads)
        values.append(value)


@given(st.integers(1, 10**15 - 1), st.integers(0, 6))
def test_canonical_amounts_are_exact(millionths: int, places: int) -> None:
    whole, fraction = divmod(millionths, 10**6)
    text = f"{whole}.{fraction:06}"
    shortest = text.rstrip("0").rstrip(".")
    cut = text[: len(text) - 6 + places] if places else f"{whole}"
    value = int(whole * 10**6 + int(f"{fraction:06}"[:places].ljust(6, "0")))
    amounts = parse_amounts([at.encode() + b'"}' for at in (text, shortest, cut, "1")])
    assert amounts.tolist() == [millionths, millionths, value or -1, 10**6]


@given(st.datetimes(datetime(1971, 1, 1), datetime(2099, 12, 31, 23, 59, 59, 999_999)), st.integers(0, 6))  # noqa: DTZ001 - written with Z
def test_times_are_exact(instant: datetime, places: int) -> None:
    text = instant.isoformat(timespec="microseconds")[: 20 + places].rstrip(".") + "Z"
    expected = datetime.fromisoformat(text.replace("Z", "+00:00")) - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = (expected.days * 86_400 + expected.seconds) * 10**6 + expected.microseconds
    assert parse_times([text, "x", text]).tolist() == [microseconds, -1, microseconds]


def test_rows_can_be_taken_and_joined() -> None:
    heads = Heads()
    columns, _ = read(records_of(USUAL), heads)
    odd = np.arange(len(columns)) % 2 == 1
    parts = [columns.take(~odd), columns.take(np.flatnonzero(odd)[::-1]), empty_columns(heads)]
    joined = concatenate(parts)
    assert [row_of(joined, row) for row in range(len(joined))] == [
        row_of(columns, int(offset)) for offset in joined.offset
    ]
    assert sorted(joined.offset.tolist()) == columns.offset.tolist()
    assert [record.offset for record in joined.records] == joined.offset.tolist()


def names(number: int) -> str:
    return f"feature-{number:0150}"


@pytest.mark.parametrize(
    "changed",
    [
        lambda number: usage(feature=names(number), envelope={"subject": "org_greedy"}),
        lambda number: usage(agent={"id": "a", "name": names(number), "kind": "saved"}, envelope={"subject": "org_greedy"}),
        lambda number: usage(envelope={"subject": "org_greedy", "source": f"/{number:0100}"}),
    ],
    ids=["feature", "agent", "source"],
)  # fmt: skip
def test_an_organization_that_changes_with_each_event_takes_no_room_from_others(
    changed: Callable[[int], dict[str, Any]],
) -> None:
    heads = Heads(200_000)
    others = [usage(feature=f"f{number}", envelope={"subject": f"org_{number}"}) for number in range(40)]
    read(records_of([usage(envelope={"subject": "org_greedy"}), *others[:20]]), heads)
    known = len(heads)
    read(records_of([changed(number) for number in range(1_000)]), heads)
    _, rest = read(records_of(others), heads)
    assert not rest, "others keep their heads and find room for new ones"
    assert heads.organizations["org_greedy"].bytes <= 100_000
    assert heads.bytes <= 200_000
    assert len(heads) > known


def test_usage_without_room_takes_the_exact_path() -> None:
    columns, rest = read(records_of(USUAL), Heads(0))
    assert (len(columns), len(rest)) == (0, len(USUAL))


def test_long_heads_are_not_kept() -> None:
    agent = {"id": "日" * 64, "name": "日" * 200, "kind": "saved"}
    longest = usage(feature="日" * 200, surface="日" * 64, agent=agent)
    _, rest = read(records_of([longest, longest]), Heads())
    assert len(rest) == 2


def test_heads_are_used_up_after_many_records() -> None:
    heads = Heads()
    read(records_of(USUAL), heads)
    assert not heads.is_used_up
    heads.records = heads_module.RECORDS_MAX
    assert heads.is_used_up


def both(values: Sequence[bytes | dict[str, Any]]) -> tuple[DecodedBatch, DecodedBatch]:
    """A batch of these records in two partitions with columns, and one without."""
    batches, received = (empty_batch(), empty_batch()), records_of(values)
    for heads, batch in zip((Heads(), None), batches, strict=True):
        for partition in (0, 1):
            records = [replace(record, partition=partition) for record in received]
            for start in range(0, len(records), 5):
                decode_batch(records[start : start + 5], batch, heads)
    return batches


def places_of(batch: DecodedBatch) -> list[tuple[int, int]]:
    uses = [use for part in batch.columns for use in to_uses(part)] + batch.uses
    return sorted((use.partition, use.offset) for use in uses)


MIXED: list[bytes | dict[str, Any]] = [
    *USUAL, b"{", correction(usage(), "-1"), json.dumps(usage()).encode(), usage(envelope={"subject": "org_b"}), *USUAL,
    usage(envelope={"subject": "org_b"}), b"{}",
]  # fmt: skip


def test_a_batch_with_columns_holds_the_same_records() -> None:
    with_columns, without_columns = both(MIXED)
    assert sum(map(len, with_columns.columns)) == 56
    assert sorted([*with_columns.uses, *(use for part in with_columns.columns for use in to_uses(part))]) == sorted(
        without_columns.uses
    )
    assert with_columns.spans == without_columns.spans == {0: (0, 31), 1: (0, 31)}
    assert with_columns.corrections == without_columns.corrections
    assert series_of(with_columns) == series_of(without_columns)
    assert organizations_of(with_columns) == {"org_acme", "org_b"}


@pytest.mark.parametrize("positions", [{0: 0, 1: 0}, {0: 4, 1: 0}, {0: 31, 1: 32}, {0: 32, 1: 32}])
def test_the_part_that_was_applied_before_is_dropped_from_columns(positions: dict[int, int]) -> None:
    kept, results = [], [BatchResult(), BatchResult()]
    for batch, result in zip(both(MIXED), results, strict=True):
        kept.append(drop_replayed(batch, positions, result))
    assert places_of(kept[0]) == places_of(kept[1])
    assert results[0].replayed == results[1].replayed == sum(positions.values())


def test_usage_in_quarantine_is_taken_out_of_columns() -> None:
    (kept, aside), (expected, expected_aside) = (without(batch, {"org_b", "org_none"}) for batch in both(MIXED))
    assert places_of(kept) == places_of(expected)
    assert sorted((name, at.partition, at.offset) for name, at in aside) == sorted(
        (name, at.partition, at.offset) for name, at in expected_aside
    )
    trial, expected = (only(batch, {"org_b"}) for batch in both(MIXED))
    assert places_of(trial) == places_of(expected) == [(0, 16), (0, 30), (1, 16), (1, 30)]


def test_traceparents_of_columns_are_found() -> None:
    records = records_of(USUAL)
    for number, record in enumerate(records):
        record.headers = [("traceparent", b"00-%d" % number)]
    batch = empty_batch()
    decode_batch(records, batch, Heads())
    assert traceparents(batch, 3) == ["00-0", "00-1", "00-2"]


@pytest.mark.parametrize("heads", [None, Heads()])
def test_columns_are_readable_records_to_the_dead_letter_limit(heads: Heads | None) -> None:
    def batch_of(values: Sequence[bytes | dict[str, Any]]) -> DecodedBatch:
        batch = empty_batch()
        decode_batch(records_of(values), batch, heads)
        return batch

    broken = [b'{"source":"/%d"}' % number for number in range(60)]
    good: list[bytes | dict[str, Any]] = [usage() for _ in range(60)]
    limit = DeadLetterLimit(size=100)
    limit.check(batch_of([*broken[:40], *good]))
    limit.check(batch_of(good))
    limit.check(batch_of([*broken[:30], *good]))
    limit.check(batch_of([*good, *broken[:49]]))
    with pytest.raises(DeadLetterLimitExceeded):
        limit.check(batch_of(broken))
