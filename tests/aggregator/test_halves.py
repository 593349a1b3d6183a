"""A batch in two parts."""

import json

import pytest
from aggregator.consumer.halves import FEW, NAMES_MAX, count_names, halve, next_fetch_max
from aggregator.domain.columns.heads import Heads
from aggregator.domain.decode import DecodedBatch, empty_batch, read
from support.data.factories import as_written, records, usage


def canonical() -> bytes:
    return json.dumps(usage(), separators=(",", ":")).encode()


def places(batch: DecodedBatch) -> set[tuple[int, int]]:
    """All offsets of a batch. Raises AssertionError unless each occurs once, as a record or in a gap."""
    held = [(use.partition, use.offset) for use in (*batch.uses, *batch.corrections)]
    held += [(at.record.partition, at.record.offset) for at in batch.rejections]
    held += [(at.partition, at.offset) for part in batch.columns for at in part.records]
    held += [(partition, offset) for partition, begin, end in batch.gaps for offset in range(begin, end)]
    assert len(held) == len(set(held))
    spans = {(at, offset) for at, (first, last) in batch.spans.items() for offset in range(first, last + 1)}
    assert set(held) == spans
    return spans


@pytest.mark.parametrize("heads", [None, Heads()])
def test_halves_hold_every_offset_once_and_follow_each_other(heads: Heads | None) -> None:
    whole = empty_batch()
    for partition in range(3):
        read(records([canonical(), b"{", usage()], first=5, partition=partition), whole, heads)
        read(records([canonical(), canonical()], first=12, partition=partition), whole, heads)
        whole.gaps.append((partition, 8, 12))
        whole.gaps.append((partition, 14, 17))
        whole.spans[partition] = (5, 16)
    whole.gaps.append((3, 0, 4))
    whole.spans[3] = (0, 3)
    parts, whole_places = [whole], places(whole)
    while halves := [halve(part) for part in parts if halve(part)]:
        parts = [part for part in parts if halve(part) is None] + [half for pair in halves if pair for half in pair]
        found = [places(part) for part in parts]
        assert set().union(*found) == whole_places
        assert sum(map(len, found)) == len(whole_places)
    assert sum(len(part.uses) + sum(map(len, part.columns)) for part in parts) == 12
    assert sum(sum(map(len, part.columns)) for part in parts) == (9 if heads else 0)
    assert all(part.last_received.keys() <= part.spans.keys() for part in parts)


def test_the_first_half_ends_where_the_second_begins() -> None:
    whole = empty_batch()
    read(records([usage() for _ in range(5)], first=7), whole)
    halves = halve(whole)
    assert halves is not None
    assert [half.spans for half in halves] == [{0: (7, 8)}, {0: (9, 11)}]
    assert [half.last_received for half in halves] == [whole.last_received, whole.last_received]


@pytest.mark.parametrize("heads", [None, Heads()])
def test_a_batch_full_of_names_is_followed_by_smaller_ones_and_those_by_larger_ones_again(heads: Heads | None) -> None:
    """Usage of all organizations waits for a batch, also for one that is full of another one's names."""

    def batch_of(number: int, names: int) -> DecodedBatch:
        event = usage(product="agents", agent={"id": "agt_12345", "kind": "saved"}, actor={"id": "someone_12345"})
        value = as_written(event)
        batch = empty_batch()
        for start in range(0, number, 1_000):
            values = [value.replace(b"12345", b"%05d" % (at % names)) for at in range(start, start + 1_000)]
            read(records(values, first=start), batch, heads)
        return batch

    assert count_names(batch_of(1_000, 7)) == 14
    wide = batch_of(20_000, 20_000)
    assert count_names(wide) == 40_000
    assert next_fetch_max(50_000, wide, 50_000) == 20_000 * NAMES_MAX // 40_000
    assert next_fetch_max(500, wide, 50_000) == 500, "halved before"
    usual = batch_of(1_000, 7)
    size, steps = FEW, 0
    while size < 50_000:
        size, steps = next_fetch_max(size, usual, 50_000), steps + 1
    assert (size, steps) == (50_000, 34)
