"""Retries the records of organizations in quarantine, in the order of the log, until all of them are applied."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

import asyncpg
import structlog
from flexcredits_schemas.codec import InvalidEvent
from runtime.isolation import concerns_one, describe_failure, is_data_failure, is_widespread
from runtime.postgres.pool import Connection, Pool

from aggregator.backlog.turns import Turns
from aggregator.catalog.events import apply_catalog_event, is_contract
from aggregator.catalog.shares import Shares
from aggregator.db.attributions import learn_attributions
from aggregator.db.batch.apply import store
from aggregator.db.catalog_cache import CATALOG_LOCK, Catalog, StaleCatalog, hold_catalog
from aggregator.db.dead_letters import insert_dead_letters
from aggregator.db.progress import HOUR_S, lock_progress, resolve_held
from aggregator.db.quarantine import CATALOG_EVENTS, COUNTING, quarantine
from aggregator.db.rollups.sums import unlimit_due
from aggregator.db.series import learn_series
from aggregator.db.statements import SQL
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.decode import DecodedBatch, Kind, Rejection, attributions_of, empty_batch, read
from aggregator.domain.limits.admission import month_of
from aggregator.domain.sum_limit import SumLimit
from aggregator.measures import observe_rollups
from aggregator.metrics import DEAD_LETTERS

log = structlog.get_logger()
CHUNK = 5_000  # records per transaction, as for held usage
EVENTS_AT_ONCE = 40  # catalog events per transaction, and no more than a share: no aggregator counts meanwhile
EVENT_ATTEMPTS_MAX = 12
# A number of attempts is not enough: each new catalog event triggers an immediate retry of the others.
EVENT_WAITS_MIN_MS = 90 * 60 * 1000
CatalogPlace = tuple[int, str | None]
"""The last offset that was tried, and the last failure up to it, if any."""


class StoredRecord:
    """A stored record, with the fields that Kafka delivered."""

    def __init__(self, row: asyncpg.Record) -> None:
        self.topic: str = row["topic"]
        self.partition: int = row["partition"]
        self.offset: int = row["kafka_offset"]
        self.timestamp = round(row["received"] * 1000)
        self.key: bytes | None = row["key"]
        self.value: bytes | None = row["value"]
        self.headers: Sequence[tuple[str, bytes | None]] = [
            (name, bytes.fromhex(value or "")) for name, value in json.loads(row["headers"])
        ]


async def retry_due(pool: Pool, topics: tuple[str, str], catalog: Catalog, turns: Turns[None]) -> tuple[int, bool]:
    """Retry the records of every organization whose retry time has come, in turns of organizations.

    Returns the number of records that now have a disposition, and whether more may be possible at once. Raises
    StaleCatalog, or a failure that concerns all organizations. Any aggregator may retry: the first one that gets the
    lock continues.
    """
    applied = 0
    is_unlimiting = await unlimit_due(pool, catalog)
    due = {row["organization_id"]: row for row in await pool.fetch(SQL["select_due"], [COUNTING])}

    async def apply_next(organization_id: int) -> bool:
        nonlocal applied
        row, result = due[organization_id], BatchResult()
        try:
            done, more = await _apply_chunk(pool, topics, catalog, organization_id, result)
        except SumLimit as error:
            catalog.limited |= error.organizations
            return True
        except asyncpg.LockNotAvailableError:
            return False  # another process holds the lock: retried in the next turn
        except Exception as error:
            if not concerns_one(error):
                raise
            await reschedule(pool, organization_id, COUNTING, f"{result.step}: {describe_failure(error)}")
            log.warning(
                "organization stays in quarantine", organization=row["organization"], attempts=row["attempts"] + 1
            )
            return False
        applied += done
        if not more:
            catalog.aside.discard(row["organization"])
        return more

    left = await turns.take(due, apply_next)
    return applied, bool(left) or is_unlimiting


async def retry_catalog_events(pool: Pool, catalog_topic: str, turns: Turns[CatalogPlace]) -> tuple[int, bool]:
    """Apply the catalog events in quarantine whose retry time has come, in turns of organizations.

    Returns the number of events that now have a disposition, and whether more may be possible at once. Catalog events
    are ordered by their own time, so they may be applied late. A rate takes effect when it is applied. An event that
    still fails after EVENT_ATTEMPTS_MAX attempts of its organization and EVENT_WAITS_MIN_MS becomes a dead letter.
    """
    done = 0
    due = {row["organization_id"]: row for row in await pool.fetch(SQL["select_due"], [CATALOG_EVENTS])}

    async def apply_next(organization_id: int) -> bool:
        nonlocal done
        row, place = due[organization_id], turns.places.pop(organization_id, (-1, None))
        gives_up = row["attempts"] >= EVENT_ATTEMPTS_MAX and not await find_widespread(pool, CATALOG_EVENTS)
        try:
            applied, end = await _apply_quarantined_events(pool, catalog_topic, organization_id, place, gives_up)
        except asyncpg.LockNotAvailableError:
            return False  # another process holds the lock: retried in the next turn
        except Exception as error:
            if not concerns_one(error):
                raise
            await reschedule(pool, organization_id, CATALOG_EVENTS, f"catalog event: {describe_failure(error)}")
            return False
        done += applied
        if end is not None:
            turns.places[organization_id] = end
        return end is not None

    left = await turns.take(due, apply_next)
    return done, bool(left)


async def find_widespread(pool: Pool, *steps: str) -> str | None:
    """The step that fails for so many organizations that our code may be at fault, with the numbers. Without `steps`,
    all steps are checked."""
    for row in await pool.fetch(SQL["count_failing"]):
        if (row["step"] in steps or not steps) and is_widespread(row["failing"], row["known"]):
            return f"{row['step']} fails for {row['failing']} of {row['known']} organizations"
    return None


async def _apply_quarantined_events(
    pool: Pool, topic: str, organization_id: int, place: CatalogPlace, gives_up: bool
) -> tuple[int, CatalogPlace | None]:
    """Apply the next catalog events of an organization.

    Returns the number of events that now have a disposition, and the place to continue from, None at the end. No
    aggregator counts during this transaction.
    """
    applied, rejections, (after, reason), is_late = 0, [], place, False
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["lock_catalog"], CATALOG_LOCK)
        await connection.fetch(SQL["lock_progress"], topic, [0])
        attempts = await _lock_due(connection, organization_id, CATALOG_EVENTS)
        if attempts is None:
            return 0, None
        rows = await connection.fetch(
            SQL["select_quarantined_catalog_events"], organization_id, topic, after, EVENTS_AT_ONCE
        )
        shares, kept = Shares(), set()
        records = [*takewhile(lambda record: shares.take("", record), map(StoredRecord, rows))]
        for record in records:
            received, now = record.timestamp, round(time.time() * 1000)
            try:
                has_only_waited = attempts == 0 and is_contract(record)
                if not has_only_waited:
                    # A rate takes effect from this time on: usage that was counted before stays unchanged.
                    record.timestamp = now
                async with connection.transaction():
                    await apply_catalog_event(connection, record)
                applied += 1
                is_late |= not has_only_waited
            except InvalidEvent as error:
                rejections.append(Rejection(record, error.detail, error.pointer, Kind.UNREADABLE))
            except Exception as error:
                if not is_data_failure(error):
                    raise
                if gives_up and now - received >= EVENT_WAITS_MIN_MS:
                    detail = f"cannot be applied: {describe_failure(error)}"
                    rejections.append(Rejection(record, detail, "", Kind.UNREADABLE))
                else:
                    reason = f"catalog event: {describe_failure(error)}"
                    kept.add(record.offset)
            record.timestamp = received
        done = [record.offset for record in records if record.offset not in kept]
        await insert_dead_letters(connection, topic, rejections)
        has_more = len(rows) == EVENTS_AT_ONCE or len(records) < len(rows)
        if done:
            await connection.fetch(SQL["delete_quarantined_records"], topic, [0] * len(done), done)
            await connection.execute(SQL["resolve_progress"], topic, [0], [applied], [0], [len(rejections)])
            # A contract that only waited is not late: it keeps its order, and readers notice it by its higher offset. After a
            # reload every aggregator reads all rates again, and manifests of files by people are deleted, as a removal may have
            # been late.
            if is_late:
                await connection.execute(SQL["insert_reload"], organization_id)
            await connection.execute(SQL["insert_wakeups"], [organization_id])
            await connection.execute(SQL["retry_now"], [organization_id])
        if not has_more and reason is None:
            await connection.fetch(SQL["release_quarantine"], organization_id, CATALOG_EVENTS, topic)
        elif not has_more and reason is not None:
            await quarantine(connection, CATALOG_EVENTS, [(organization_id, reason)])
    DEAD_LETTERS.labels(Kind.UNREADABLE).inc(len(rejections))
    return len(done), (records[-1].offset, reason) if has_more else None


async def reschedule(pool: Pool, organization_id: int, step: str, reason: str) -> None:
    """Record another failure, which lengthens the wait until the next retry."""
    async with pool.acquire() as connection, connection.transaction():
        await quarantine(connection, step, [(organization_id, reason)])


async def _lock_due(connection: Connection, organization_id: int, step: str) -> int | None:
    """The failed attempts so far if the retry is still due, else None. No other process can retry until the transaction ends.

    Raises LockNotAvailableError after half a second: batches of several partitions may hold the lock in turns, while
    they wait for locks of this transaction.
    """
    await connection.execute(SQL["wait_shortly"])
    rows = await connection.fetch(SQL["lock_due"], organization_id, step)
    await connection.execute(SQL["wait_as_usual"])
    return rows[0]["attempts"] if rows else None


async def _apply_chunk(
    pool: Pool, topics: tuple[str, str], catalog: Catalog, organization_id: int, result: BatchResult
) -> tuple[int, bool]:
    """Apply the first records of an organization. Returns their number, and whether there may be more."""
    topic, catalog_topic = topics
    batch = _read(await pool.fetch(SQL["select_quarantined_records"], organization_id, topic, CHUNK))
    if batch.failures:
        raise batch.failures[0].error
    result.step = "series"
    uses = [*batch.uses, *batch.corrections]
    month = month_of(max((use.received for use in uses), default=0.0))
    await learn_series(pool, catalog, {use.series for use in uses}, month)
    await learn_attributions(pool, catalog, attributions_of(batch))
    places = [(use.partition, use.offset) for use in uses]
    places += [(at.record.partition, at.record.offset) for at in batch.rejections]
    async with pool.acquire() as connection, connection.transaction():
        result.step = "positions"
        await hold_catalog(connection, catalog_topic, catalog)
        await lock_progress(connection, topic, {at: (0, last) for at, (_, last) in batch.spans.items()})
        if await _lock_due(connection, organization_id, COUNTING) is None:
            return 0, False
        sightings = await store(connection, topic, batch, catalog, result)
        result.step = "quarantine"
        if places:
            gone = await connection.fetch(
                SQL["delete_quarantined_records"], topic, *map(list, zip(*places, strict=True))
            )
            if len(gone) != len(places):
                raise StaleCatalog
        await _resolve_held(connection, topic, result)
        is_over = await connection.fetch(SQL["release_quarantine"], organization_id, COUNTING, topic)
    catalog.sightings.update(sightings)
    observe_rollups(result.rollups)
    if is_over:
        log.info("organization out of quarantine", organization_id=organization_id)
    return len(places), not is_over


def _read(rows: Sequence[asyncpg.Record]) -> DecodedBatch:
    batch = empty_batch()
    for partition in sorted({row["partition"] for row in rows}):
        read([StoredRecord(row) for row in rows if row["partition"] == partition], batch)
    return batch


async def _resolve_held(connection: Connection, topic: str, result: BatchResult) -> None:
    """Record the disposition of records that were held. Records that wait for a catalog event stay held."""
    counted = Counter((at.use.partition, at.use.received // HOUR_S) for at in result.counted)
    duplicate = Counter((use.partition, use.received // HOUR_S) for use in result.duplicates)
    rejected = Counter((at.record.partition, at.record.timestamp / 1000 // HOUR_S) for at in result.rejections)
    hours = sorted(counted.keys() | duplicate.keys() | rejected.keys())
    await resolve_held(connection, topic, [(*hour, counted[hour], duplicate[hour], rejected[hour]) for hour in hours])
