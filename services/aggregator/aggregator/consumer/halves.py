"""Splits a batch that takes too long into two consecutive batches, each of which moves the positions by its own part, and finds
the size of the next one."""

import numpy as np

from aggregator.domain.columns.usage_columns import heads_of
from aggregator.domain.decode import DecodedBatch, empty_batch

NAMES_MAX = 25_000
"""Different series and attributions that a batch should have: each takes rows of its own, and usage of all organizations waits
for the batch. 50,000 uses that each have an agent and a person of their own took 6.5 to 14 s on a busy machine."""
FEW = 2_000
"""Records that a batch may always have."""


class TooLarge(Exception):
    """The statements of a batch repeatedly take too long; those of its halves may not."""

    def __init__(self, halves: tuple[DecodedBatch, DecodedBatch]) -> None:
        super().__init__("a batch takes too long")
        self.halves = halves


def next_fetch_max(fetch_max: int, batch: DecodedBatch, most: int) -> int:
    """The size of the next batch in records: as many of these as have NAMES_MAX names if they have more, else a tenth more than
    before, at most `most`. Time says less: on a slow disk, small batches would take as long as large ones."""
    names = count_names(batch)
    if names <= NAMES_MAX:
        return min(most, fetch_max + fetch_max // 10 + 1)
    records = sum(last - first + 1 for first, last in batch.spans.values())
    return min(fetch_max, max(FEW, records * NAMES_MAX // names))


def count_names(batch: DecodedBatch) -> int:
    attributions = [part.attribution for part in batch.columns]
    in_columns = len(heads_of(batch.columns)) + (len(np.unique(np.concatenate(attributions))) if attributions else 0)
    return in_columns + len({use.series for use in batch.uses}) + len({use.attribution for use in batch.uses})


def halve(batch: DecodedBatch) -> tuple[DecodedBatch, DecodedBatch] | None:
    """Split the records and gaps into two batches. In each partition the first ends where the second begins. None when
    the batch has fewer than two records."""
    records = [use.record for use in (*batch.uses, *batch.corrections)]
    records += [at.record for at in batch.rejections] + [at.record for at in batch.failures]
    records += [record for part in batch.columns for record in part.records]
    records.sort(key=lambda record: (record.partition, record.offset))
    if len(records) < 2:
        return None
    cut = records[len(records) // 2]
    before, after = empty_batch(), empty_batch()

    def half(partition: int, offset: int) -> DecodedBatch:
        return before if (partition, offset) < (cut.partition, cut.offset) else after

    for use in batch.uses:
        half(use.partition, use.offset).uses.append(use)
    for use in batch.corrections:
        half(use.partition, use.offset).corrections.append(use)
    for rejection in batch.rejections:
        half(rejection.record.partition, rejection.record.offset).rejections.append(rejection)
    for failure in batch.failures:
        half(failure.record.partition, failure.record.offset).failures.append(failure)
    _halve_columns(batch, (cut.partition, cut.offset), before, after)
    for record in records:
        into, received = half(record.partition, record.offset), record.timestamp / 1000
        into.first_received.setdefault(record.partition, received)
        into.last_received[record.partition] = max(received, into.last_received.get(record.partition, 0.0))
    for partition, (first, last) in batch.spans.items():
        for part, begin, end in _split(partition, first, last + 1, (cut.partition, cut.offset), before, after):
            part.spans[partition] = (begin, end - 1)
    for partition, first, last in batch.gaps:
        for part, begin, end in _split(partition, first, last, (cut.partition, cut.offset), before, after):
            part.gaps.append((partition, begin, end))
    return before, after


def _halve_columns(batch: DecodedBatch, cut: tuple[int, int], before: DecodedBatch, after: DecodedBatch) -> None:
    for columns in batch.columns:
        is_before = columns.partition < cut[0]
        is_before |= (columns.partition == cut[0]) & (columns.offset < cut[1])
        for into, rows in ((before, is_before), (after, ~is_before)):
            if rows.any():
                into.columns.append(columns.take(rows))


def _split(
    partition: int, begin: int, end: int, cut: tuple[int, int], before: DecodedBatch, after: DecodedBatch
) -> list[tuple[DecodedBatch, int, int]]:
    """The parts of the offsets from `begin` to before `end` that lie before and after the cut."""
    middle = begin if partition > cut[0] else end if partition < cut[0] else min(max(begin, cut[1]), end)
    parts = [(before, begin, middle), (after, middle, end)]
    return [part for part in parts if part[1] < part[2]]
