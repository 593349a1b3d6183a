"""The position of Postgres in each partition: the fence that drops records applied before, and the proof of every
disposition."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import asyncpg
import numpy as np
from numpy.typing import NDArray
from runtime.isolation import Shared
from runtime.postgres.pool import Connection, Pool

from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.columns.usage_columns import UsageColumns
from aggregator.domain.decode import DecodedBatch

HOUR_S = 3600


class OffsetGap(Shared):
    """Records between the position of Postgres and the log are missing: to continue would lose them silently."""


class ProofBroken(Shared):
    """The dispositions of the offsets of a partition do not add up: a defect in our accounting, found before the
    commit."""


async def load_progress(pool: Pool, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """next_offset of each partition. Creates the rows of new partitions."""
    partitions = sorted(partitions)
    await pool.execute(SQL["create_progress"], topic, partitions)
    rows = await pool.fetch(SQL["select_progress"], topic)
    return {row["partition"]: row["next_offset"] for row in rows if row["partition"] in partitions}


async def load_received(pool: Pool, topic: str) -> dict[int, tuple[int, int]]:
    """For each partition with counted records, a time in milliseconds and the offset after its last record.

    The time is the latest append time of a counted record, or a later time at which the partition was complete.
    """
    rows = await pool.fetch(SQL["select_received"], topic)
    return {row["partition"]: (row["received_ms"], row["records_end"]) for row in rows}


async def lock_progress(connection: Connection, topic: str, spans: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """The fence: lock and return next_offset of each partition of the batch. No other process moves it until the
    transaction ends.

    Raises OffsetGap.
    """
    rows = await connection.fetch(SQL["lock_progress"], topic, sorted(spans))
    positions = {row["partition"]: row["next_offset"] for row in rows}
    for partition, (first, _) in spans.items():
        if first > positions[partition]:
            raise OffsetGap(
                f"{topic}/{partition}: Postgres expects offset {positions[partition]}, Kafka delivers {first}."
                " Retention took unread records, or the topic was re-created"
            )
    return positions


def drop_replayed(batch: DecodedBatch, positions: Mapping[int, int], result: BatchResult) -> DecodedBatch:
    """The part of the batch that has not been applied yet, by another process or by this one before a crash."""
    for partition, (_, last) in batch.spans.items():
        result.next_offsets[partition] = max(last + 1, positions[partition])
        # A complete replay shows nothing: markers may lie between it and the position.
        result.records_end[partition] = last + 1 if last + 1 > positions[partition] else None
    for partition, begin, end in batch.gaps:
        result.skipped[partition] += max(0, end - max(begin, positions[partition]))
        if end == result.next_offsets[partition]:
            result.records_end[partition] = begin if begin > positions[partition] else None
    if all(positions[partition] <= first for partition, (first, _) in batch.spans.items()):
        return batch
    kept = batch._replace(
        uses=[use for use in batch.uses if use.offset >= positions[use.partition]],
        corrections=[use for use in batch.corrections if use.offset >= positions[use.partition]],
        rejections=[at for at in batch.rejections if at.record.offset >= positions[at.record.partition]],
        failures=[at for at in batch.failures if at.record.offset >= positions[at.record.partition]],
    )
    before, after = ([*part.uses, *part.corrections, *part.rejections, *part.failures] for part in (batch, kept))
    result.replayed = len(before) - len(after)
    columns = [part.take(_is_fresh(part, positions)) for part in batch.columns]
    result.replayed += sum(map(len, batch.columns)) - sum(map(len, columns))
    return kept._replace(columns=[part for part in columns if len(part)])


def _is_fresh(columns: UsageColumns, positions: Mapping[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros(len(columns), np.bool_)
    for partition in np.unique(columns.partition).tolist():
        mask |= (columns.partition == partition) & (columns.offset >= positions[partition])
    return mask


async def advance(connection: Connection, topic: str, batch: DecodedBatch, result: BatchResult) -> None:
    """Move the positions, and record the disposition of every record, in total and by the hour of its receipt."""
    dispositions = [
        Counter((use.partition, use.received // HOUR_S) for use in group)
        for group in (
            [decision.use for decision in result.counted],
            result.duplicates,
            [decision.use for decision in result.held],
        )
    ]
    dispositions[0] += result.columns.counted
    dispositions[1] += result.columns.duplicates
    dispositions.insert(
        2, Counter((at.record.partition, at.record.timestamp / 1000 // HOUR_S) for at in result.rejections)
    )
    dispositions[3].update((at.partition, at.timestamp / 1000 // HOUR_S) for at in result.quarantined)
    hours = sorted(set().union(*dispositions))
    if hours:
        rows = [(*hour, *(disposition[hour] for disposition in dispositions)) for hour in hours]
        await connection.execute(SQL["add_hours"], topic, *zip(*rows, strict=True))
    totals: dict[int, list[int]] = {partition: [0, 0, 0, 0] for partition in result.next_offsets}
    for hour in hours:
        for place, disposition in enumerate(dispositions):
            totals[hour[0]][place] += disposition[hour]
    progress = [
        (at, next_offset, *totals[at], result.skipped[at], result.records_end[at], batch.last_received.get(at))
        for at, next_offset in sorted(result.next_offsets.items())
    ]
    with _proving():
        await connection.execute(SQL["advance_progress"], topic, *columns_of(progress))


async def resolve_held(connection: Connection, topic: str, hours: Sequence[tuple[int, float, int, int, int]]) -> None:
    """Record the later disposition of held records: the numbers counted, duplicate and rejected, by partition and hour
    of receipt."""
    if not hours:
        return
    with _proving():
        await connection.execute(SQL["resolve_hours"], topic, *map(list, zip(*hours, strict=True)))
    sums: dict[int, list[int]] = {}
    for partition, _, *dispositions in sorted(hours):
        sums[partition] = [sum(pair) for pair in zip(sums.get(partition, (0, 0, 0)), dispositions, strict=True)]
    rows = [(partition, *dispositions) for partition, dispositions in sums.items()]
    with _proving():
        await connection.execute(SQL["resolve_progress"], topic, *map(list, zip(*rows, strict=True)))


@contextmanager
def _proving() -> Iterator[None]:
    try:
        yield
    except asyncpg.CheckViolationError as error:
        raise ProofBroken(str(error)) from error


async def mark_caught_up(pool: Pool, topic: str, end_offsets: Mapping[int, int], seen: datetime) -> None:
    """Mark totals as complete up to `seen` in each partition whose log ended then at the position of Postgres."""
    await pool.execute(
        SQL["mark_caught_up"], topic, list(end_offsets), list(end_offsets.values()), seen.astimezone(UTC).timestamp()
    )
