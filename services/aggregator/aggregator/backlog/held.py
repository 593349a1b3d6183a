"""Held usage that can be counted now. The sweep after the catalog event that completes the usage releases it."""

import asyncio
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

import asyncpg
import structlog
from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.codec import InvalidEvent
from flexcredits_schemas.identity import OTHER
from flexcredits_schemas.rating.card import ANY_FEATURE
from flexcredits_schemas.zones import find_zone
from runtime.isolation import concerns_one, describe_failure
from runtime.postgres.pool import Connection, Pool

from aggregator.backlog.turns import TURNS_S, Turns
from aggregator.db.batch.ledger import add_corrected, select_originals, select_other_parts
from aggregator.db.catalog_cache import Catalog, hold_catalog
from aggregator.db.dead_letters import insert_dead_letters
from aggregator.db.progress import HOUR_S, resolve_held
from aggregator.db.quarantine import RELEASE, quarantine
from aggregator.db.rollups.attributed import add_runs
from aggregator.db.rollups.rollups import add_checked_rollups
from aggregator.db.rollups.sums import note_limited, select_rooms
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.corrections import follow_original, validate_correction
from aggregator.domain.decode import Kind, Rejection, UsageRecord, read_record, reject
from aggregator.domain.limits.series_key import SeriesKey
from aggregator.domain.people.attribution import Run
from aggregator.domain.people.runs import Runs
from aggregator.domain.rating import quantities_text, read_quantities
from aggregator.domain.rollup import Decision, Rollups, decide, empty_rollups, fold, fold_runs, missing_unit
from aggregator.domain.sum_limit import SUM_LIMIT, Rooms, SumLimit, fit
from aggregator.measures import observe_rollups
from aggregator.metrics import DEAD_LETTERS, QUARANTINES

log = structlog.get_logger()
CHUNK = 5_000  # held events per transaction, so that its locks are released several times per second
Place = tuple[int, tuple[int, int]]
"""A position in the held usage of an organization: number of the series, then partition and offset of the last
event."""
BEGIN: Place = (-1, (-1, -1))


class StoredRecord:
    """The record of a held correction, with the parts that were stored. Used for the dead letters."""

    def __init__(self, topic: str, row: asyncpg.Record) -> None:
        self.topic = topic
        self.partition: int = row["kafka_partition"]
        self.offset: int = row["kafka_offset"]
        self.timestamp = int(row["received"] * 1000)
        self.key: bytes | None = None
        self.value: bytes | None = row["value"]
        self.headers: Sequence[tuple[str, bytes | None]] = ()


async def release_held(pool: Pool, topics: tuple[str, str], catalog: Catalog, turns: Turns[Place]) -> tuple[int, bool]:
    """Count the held usage whose organization, rate and original are known now, in turns of organizations.

    Returns the number of events counted, and whether more may be possible at once. Any aggregator may release usage of
    any partition: rows are claimed, and sums are added under the same locks as by batches.
    """
    clock = asyncio.get_running_loop().time
    began, released = clock(), 0
    failing: dict[int, str] = {}
    due = {row["organization_id"] for row in await pool.fetch(SQL["select_due"], [RELEASE])}
    groups = await pool.fetch(SQL["select_releasable"])
    complete = {
        (row["organization_id"], row["series_id"], SeriesKey(**{name: row[name] for name in SeriesKey._fields}))
        for row in groups
        if find_zone(row["time_zone"] or "") and (row["unit"] is None or await _may_have_rate(pool, catalog, row))
    }
    kinds: dict[int, list[tuple[int, SeriesKey]]] = defaultdict(list)
    for organization_id, *kind in sorted(complete):
        kinds[organization_id].append((kind[0], kind[1]))

    async def release_next(organization_id: int) -> bool:
        nonlocal released
        series_id, after = turns.places.get(organization_id, BEGIN)
        at = bisect_left(kinds[organization_id], (series_id,))
        if at == len(kinds[organization_id]):
            turns.places.pop(organization_id, None)
            return False
        found, series = kinds[organization_id][at]
        series_id, after = found, after if found == series_id else BEGIN[1]
        try:
            counted, end = await _release_chunk(pool, topics, catalog, organization_id, series_id, series, after)
        except SumLimit as error:
            catalog.limited |= error.organizations
            return True
        except Exception as error:
            if not concerns_one(error):
                raise
            failing[organization_id] = describe_failure(error)
            turns.places.pop(organization_id, None)
            return False
        released += counted
        turns.places[organization_id] = (series_id, end) if end else (series_id + 1, BEGIN[1])
        return True

    # The queries above may take long too, and every call runs them, so the turns get at least as much time.
    left = await turns.take(kinds, release_next, max(TURNS_S, clock() - began))
    await _note(pool, failing, due - left)
    return released, bool(left)


async def _note(pool: Pool, failing: Mapping[int, str], due: Collection[int]) -> None:
    """Record the organizations whose held usage could not be released, and end the quarantine of those that
    succeeded."""
    if not failing and not due:
        return
    async with pool.acquire() as connection, connection.transaction():
        await quarantine(connection, RELEASE, sorted(failing.items()))
        await connection.execute(SQL["delete_quarantine"], RELEASE, sorted(set(due) - failing.keys()))
    for organization_id, reason in failing.items():
        QUARANTINES.labels("aggregator").inc()
        log.error("held usage not released", organization_id=organization_id, reason=reason)


async def _may_have_rate(pool: Pool, catalog: Catalog, row: asyncpg.Record) -> bool:
    """Whether any rate covers this kind of usage. The rate of an event depends on its time.

    A series that stands for others has usage of many features. It is released only if a feature of its usage has a rate: the
    release locks the progress of all of its partitions.
    """
    kind = row["organization"], row["product"], row["feature_kind"]
    if row["feature"] == OTHER:
        features = catalog.card.features_of(*kind, row["unit"])
        if ANY_FEATURE in features or not features:
            return bool(features)
        place = row["organization_id"], row["series_id"], row["unit"]
        [found] = await pool.fetch(SQL["has_held_feature"], *place, sorted(features))
        return bool(found["has_feature"])
    return catalog.card.rate_at(*kind, row["feature"], row["unit"], float("inf")) is not None


async def _release_chunk(
    pool: Pool, topics: tuple[str, str], catalog: Catalog, organization_id: int, series_id: int, series: SeriesKey,
    after: tuple[int, int],
) -> tuple[int, tuple[int, int] | None]:  # fmt: skip
    topic, catalog_topic = topics
    async with pool.acquire() as connection, connection.transaction():
        await hold_catalog(connection, catalog_topic, catalog)
        # Progress rows are locked before held rows, as batches do. The held rows give the partitions. Usage that
        # another partition holds since then waits for the next call, because its progress row may precede one that this
        # transaction has locked.
        partitions = [
            row["kafka_partition"]
            for row in await connection.fetch(SQL["select_held_partitions"], organization_id, series_id)
        ]
        await connection.fetch(SQL["lock_progress"], topic, partitions)
        rows = await connection.fetch(SQL["lock_held"], organization_id, series_id, partitions, *after, CHUNK)
        rooms = await select_rooms(connection, catalog.limited & {organization_id})
        decisions, rejections = await _decide(connection, topic, catalog, series, rows, rooms)
        counted = [decision for decision in decisions if decision.waits_for is None]
        limited = [decision for decision in decisions if decision.waits_for == SUM_LIMIT]
        if limited:
            uses = [decision.use for decision in limited]
            columns = [use.ledger_bucket for use in uses], [UUID(use.identity) for use in uses]
            await connection.execute(SQL["limit_held"], *columns)
            await note_limited(connection, limited)
        units = [
            (at.use.ledger_bucket, UUID(at.use.identity), unit)
            for at in decisions
            if (unit := missing_unit(at)) is not None
        ]
        if units:
            await connection.execute(SQL["await_unit"], *columns_of(units))
        rollups = await _record_counts(connection, topic, counted, rejections, rooms, catalog)
    observe_rollups(rollups)
    for _, rejection in rejections:
        DEAD_LETTERS.labels(rejection.kind).inc()
    end = (rows[-1]["kafka_partition"], rows[-1]["kafka_offset"]) if len(rows) == CHUNK else None
    return len(counted), end


async def _decide(
    connection: Connection,
    topic: str,
    catalog: Catalog,
    series: SeriesKey,
    rows: Sequence[asyncpg.Record],
    rooms: Rooms,
) -> tuple[list[Decision], list[tuple[UsageRecord, Rejection]]]:
    decisions: list[Decision] = []
    rejections: list[tuple[UsageRecord, Rejection]] = []
    uses = [_stored_use(topic, series, row) for row in rows]
    originals = await select_originals(connection, (use.corrects for use in uses if use.corrects))
    decided: list[Decision] = []
    for use, row in zip(uses, rows, strict=True):
        numbers: dict[tuple[str, ...], int] = {use.series: row["series_id"]}
        try:
            decision = decide(use, catalog.organizations, numbers, catalog.card, {})
        except InvalidEvent as error:
            rejections.append((use, reject(use, Kind.RATE, error.detail, error.pointer)))
        else:
            decided.append(decision._replace(attribution_id=row["attribution_id"]))
    parts = await select_other_parts(connection, decided, originals)
    for decision in decided:
        use = decision.use
        if use.corrects:
            original = originals.get(use.corrects)
            decision = follow_original(decision, original, parts)
            try:
                decision = fit(decision._replace(waits_for=validate_correction(decision, original)), rooms)
            except ValueError as error:
                rejections.append((use, reject(use, Kind.CORRECTION, str(error), "/data/corrects")))
                continue
            if original is not None and decision.waits_for is None:
                originals[use.corrects] = original._replace(corrected=original.corrected + decision.credits)
        else:
            decision = fit(decision, rooms)
        decisions.append(decision)
    return decisions, rejections


async def _record_counts(
    connection: Connection,
    topic: str,
    counted: Sequence[Decision],
    rejections: Sequence[tuple[UsageRecord, Rejection]],
    rooms: Rooms,
    catalog: Catalog,
) -> Rollups:
    """Record the disposition of held events in ledger, rollups, dead letters and proof. Returns the sums that were
    added."""
    rollups = empty_rollups()
    if not counted and not rejections:
        return rollups
    by_bucket: dict[int, list[Decision]] = defaultdict(list)
    for decision in sorted(counted):
        by_bucket[decision.use.ledger_bucket].append(decision)
    for bucket, group in by_bucket.items():
        columns = [
            (
                UUID(at.use.identity),
                at.credits,
                at.rate_id,
                at.attribution_id,
                at.run and UUID(at.run.identity),
                quantities_text(at.use.quantities, at.unit_rates),
                at.series_id,
            )
            for at in group
        ]
        await connection.execute(SQL["count_held_ledger"], bucket, *columns_of(columns))
    for use, _ in rejections:
        await connection.execute(SQL["delete_held_ledger"], use.ledger_bucket, [UUID(use.identity)])
    await add_corrected(connection, [decision for decision in counted if decision.use.corrects])
    fold(counted, rollups)
    runs: Runs = {}
    fold_runs(counted, runs)
    await add_checked_rollups(connection, rollups, rooms, catalog)
    await add_runs(connection, runs)
    await insert_dead_letters(connection, topic, [rejection for _, rejection in rejections])
    done = [*(decision.use for decision in counted), *(use for use, _ in rejections)]
    await connection.execute(
        SQL["delete_held"], [use.ledger_bucket for use in done], [UUID(use.identity) for use in done]
    )
    await connection.execute(SQL["insert_totals"], sorted({key[0] for key in rollups.organization_days}))
    counts = Counter((at.use.partition, at.use.received // HOUR_S) for at in counted)
    rejects = Counter((use.partition, use.received // HOUR_S) for use, _ in rejections)
    hours = sorted(counts.keys() | rejects.keys())
    await resolve_held(connection, topic, [(*hour, counts[hour], 0, rejects[hour]) for hour in hours])
    return rollups


def _stored_use(topic: str, series: SeriesKey, row: asyncpg.Record) -> UsageRecord:
    """A held use. `series` is the one under which it is recorded."""
    corrects = None if row["corrects"] is None else (row["corrects_bucket"], row["corrects"].bytes)
    run = None if row["run"] is None else Run(row["run"].bytes, row["run_id"], row["parent_id"])
    quantities, record = read_quantities(row["quantities"]), StoredRecord(topic, row)
    key: tuple[str, str, str, str, str, str] = series
    if OTHER in series and record.value is not None:  # a correction: it must have the dimensions of its original
        key = read_record(record).series
    elif row["feature"] is not None:
        key = series._replace(feature=row["feature"])
    return UsageRecord(
        row["ledger_bucket"], row["identity"].bytes, row["kafka_partition"], row["kafka_offset"], key,
        row["occurred"], row["received"], row["credits"], row["quantity"], row["unit"] if quantities is None else None, None,
        corrects, record, None, run, quantities,
    )  # fmt: skip
