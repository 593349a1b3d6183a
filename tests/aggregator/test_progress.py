"""A partition's progress after a batch: its next offset, and the offset after its last known record."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from aggregator.db.progress import drop_replayed, load_progress, lock_progress, mark_caught_up
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.decode import empty_batch
from runtime.postgres.pool import Pool, open_pool
from support.infra.stack import Database


@pytest.mark.parametrize(
    ("position", "span", "gaps", "next_offset", "records_end"),
    [
        (0, (0, 4), [], 5, 5),
        (5, (5, 7), [(0, 7, 8)], 8, 7),  # a marker at the end: the records end before it
        (8, (3, 5), [], 8, None),  # a replay alone: a marker may lie before the position
        (8, (3, 7), [(0, 7, 8)], 8, None),
        (8, (8, 8), [(0, 8, 9)], 9, None),  # a marker alone does not move the end of the records
        (8, (5, 9), [], 10, 10),
    ],
)
def test_the_end_of_the_records_is_only_moved_by_records(
    position: int, span: tuple[int, int], gaps: list[tuple[int, int, int]], next_offset: int, records_end: int | None
) -> None:
    reading, outcome = empty_batch(), BatchResult()
    reading.spans[0] = span
    reading.gaps.extend(gaps)
    drop_replayed(reading, {0: position}, outcome)
    assert (outcome.next_offsets[0], outcome.records_end[0]) == (next_offset, records_end)


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    dsn = database.roles["flexcredits_aggregator"]
    async with open_pool(dsn, application="aggregator", size=3, statement_timeout_s=60) as opened:
        yield opened


async def complete_to(pool: Pool) -> datetime | None:
    found: datetime | None = await pool.fetchval("SELECT complete_to FROM partition_ends WHERE topic = 'usage'")
    return found


async def test_the_watermark_moves_while_batches_hold_their_rows_and_never_overstates(pool: Pool) -> None:
    """In a catch-up a batch holds its rows all the time: the mark must neither wait for it nor take it as committed."""
    await load_progress(pool, "usage", [0])
    began = datetime(2026, 11, 29, tzinfo=UTC)
    end = 0
    for second in range(5):
        seen, before = began + timedelta(seconds=second), await complete_to(pool)
        async with pool.acquire() as batch, batch.transaction():
            await lock_progress(batch, "usage", {0: (end, end + 9)})
            await batch.execute(
                "UPDATE partition_progress SET next_offset = next_offset + 10, counted = counted + 10 WHERE topic = 'usage'"
            )
            async with asyncio.timeout(5):
                await mark_caught_up(pool, "usage", {0: end + 10}, seen)
                assert await complete_to(pool) == before, "its ten records are not committed"
                await mark_caught_up(pool, "usage", {0: end}, seen + timedelta(seconds=0.5))
                assert await complete_to(pool) == seen + timedelta(seconds=0.5)
        end += 10
    await mark_caught_up(pool, "usage", {0: end}, began)
    assert await complete_to(pool) == seen + timedelta(seconds=0.5), "an older mark changes nothing"
    await mark_caught_up(pool, "usage", {0: end + 1}, seen + timedelta(seconds=9))
    assert await complete_to(pool) == seen + timedelta(seconds=0.5), "one record is not counted"


async def test_a_partition_that_starts_again_is_not_complete(database: Database, pool: Pool) -> None:
    await load_progress(pool, "usage", [0])
    await mark_caught_up(pool, "usage", {0: 0}, datetime(2026, 11, 29, tzinfo=UTC))
    assert await complete_to(pool)
    owner = await asyncpg.connect(database.dsn)
    try:
        await owner.execute("DELETE FROM partition_progress")
    finally:
        await owner.close()
    await load_progress(pool, "usage", [0])
    assert await complete_to(pool) is None
