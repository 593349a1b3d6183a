"""A batch with columns is treated as one without."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from aggregator.db.progress import drop_replayed
from aggregator.db.quarantine import only, without
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.columns.heads import Heads
from aggregator.domain.dead_letter_limit import DeadLetterLimit, DeadLetterLimitExceeded
from aggregator.domain.decode import DecodedBatch, empty_batch, organizations_of, read, series_of, to_uses, traceparents
from support.data.factories import correction, usage
from support.data.usual_usage import USUAL, records_of


def both(values: Sequence[bytes | dict[str, Any]]) -> tuple[DecodedBatch, DecodedBatch]:
    """A batch of these records in two partitions with columns, and one without."""
    batches, received = (empty_batch(), empty_batch()), records_of(values)
    for heads, batch in zip((Heads(), None), batches, strict=True):
        for partition in (0, 1):
            records = [replace(record, partition=partition) for record in received]
            for start in range(0, len(records), 5):
                read(records[start : start + 5], batch, heads)
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
    read(records, batch, Heads())
    assert traceparents(batch, 3) == ["00-0", "00-1", "00-2"]


@pytest.mark.parametrize("heads", [None, Heads()])
def test_columns_are_readable_records_to_the_dead_letter_limit(heads: Heads | None) -> None:
    def batch_of(values: Sequence[bytes | dict[str, Any]]) -> DecodedBatch:
        batch = empty_batch()
        read(records_of(values), batch, heads)
        return batch

    broken: list[bytes | dict[str, Any]] = [b'{"source":"/%d"}' % number for number in range(60)]
    good: list[bytes | dict[str, Any]] = [usage() for _ in range(60)]
    for several in (False, True):
        limit = DeadLetterLimit(size=100)
        limit.check(batch_of([*broken[:40], *good]), has_several=several)
        limit.check(batch_of(good), has_several=several)
        limit.check(batch_of([*broken[:30], *good]), has_several=several)
        limit.check(batch_of([*good, *broken[:49]]), has_several=several)
        if several:  # all of them have the key of one organization
            limit.check(batch_of(broken), has_several=True)
            broken[20] = b'{"source":"/s","subject":"org_other","id":"1"}'
        with pytest.raises(DeadLetterLimitExceeded):
            limit.check(batch_of(broken), has_several=several)
