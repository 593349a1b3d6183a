"""Updates the metrics: for a batch when it is committed, and for the tables at intervals."""

import asyncio
import time
from datetime import UTC, datetime

from flexcredits_schemas.credits import MICRO
from runtime.postgres.pool import Pool

from aggregator import metrics
from aggregator.db.statements import SQL
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.decode import DecodedBatch
from aggregator.domain.rollup import Rollups

VISIBLE_WITHIN_S = 2.0
PAUSE = 20  # the pause after measuring whole tables, in multiples of its duration


def observe_batch(batch: DecodedBatch, result: BatchResult, began_s: float, committed_s: float) -> None:
    """Record a committed batch. Instants are Unix time, and receipts use the clock of Kafka."""
    dispositions = {
        "counted": result.counted_number, "held": len(result.held) + len(result.quarantined),
        "duplicate": result.duplicate_number, "rejected": len(result.rejections), "replayed": result.replayed,
    }  # fmt: skip
    for disposition, number in dispositions.items():
        metrics.EVENTS.labels(disposition).inc(number)
    for rejection in result.rejections:
        metrics.DEAD_LETTERS.labels(rejection.kind).inc()
    metrics.BATCH_EVENTS.observe(sum(dispositions.values()))
    metrics.BATCH_SECONDS.observe(committed_s - began_s)
    if result.counted_number:
        in_time = count_in_time(batch, result, committed_s)
        metrics.VISIBLE.labels("yes").inc(in_time)
        metrics.VISIBLE.labels("no").inc(result.counted_number - in_time)
        metrics.VISIBLE_SECONDS.observe(max(0.0, committed_s - min(batch.first_received.values())))
    observe_rollups(result.rollups)


def count_in_time(batch: DecodedBatch, result: BatchResult, committed_s: float) -> int:
    """The number of counted events received at most 2 s before the commit. Checks each event only if the batch may
    contain both kinds."""
    since = committed_s - VISIBLE_WITHIN_S
    if min(batch.first_received.values()) >= since:
        return result.counted_number
    if max(batch.last_received.values()) < since:
        return 0
    in_columns = int((result.columns.received_ms >= since * 1000).sum())
    return in_columns + sum(decision.use.received >= since for decision in result.counted)


def observe_rollups(rollups: Rollups) -> None:
    """Record the sums that were added: credits by product, and late events."""
    sums: dict[tuple[str, str], int] = {}
    for (_, _, product, _), (credits, _) in rollups.organization_days.items():
        key = (product, "added" if credits > 0 else "taken_back")
        sums[key] = sums.get(key, 0) + abs(credits)
    for labels, credits in sums.items():
        metrics.CREDITS.labels(*labels).inc(credits / MICRO)
    metrics.LATE.inc(sum(max(0, events) for _, events in rollups.late.values()))


async def measure_watermark(pool: Pool, topic: str) -> None:
    """Measure the watermark and the held events. Cheap enough to run every second."""
    [row] = await pool.fetch(SQL["measure_watermark"], topic)
    metrics.COMPLETE_TO.set(row["complete_to"] or 0)
    metrics.HELD.set(row["held"])
    metrics.SKIPPED.set(row["skipped"])


async def measure_tables(pool: Pool, topic: str) -> None:
    """Measure whole tables. Every aggregator does so and gets the same values. The longer it takes, the longer is the
    pause after it."""
    began = time.monotonic()
    [row] = await pool.fetch(SQL["measure_tables"], topic, datetime.now(UTC).date())
    metrics.HELD_OLDEST_SECONDS.set(row["oldest_held_s"])
    metrics.UNACCOUNTED.set(row["unaccounted"])
    metrics.PARTITIONS_AHEAD_DAYS.set(row["partitions_ahead_days"])
    metrics.DATABASE_BYTES.set(row["database_bytes"])
    metrics.CROWDED_DAYS.set(row["crowded_days"])
    metrics.QUARANTINED_RECORDS.set(row["quarantined_records"])
    failing = {row["component"]: row["organizations"] for row in await pool.fetch(SQL["count_quarantined"])}
    for component in metrics.COMPONENTS:
        metrics.QUARANTINED.labels(component).set(failing.get(component, 0))
    await asyncio.sleep((time.monotonic() - began) * PAUSE)
