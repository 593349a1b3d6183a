"""Counts held usage that can be counted now, in one transaction for usage of one Kafka partition."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import asyncpg
from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.codec import InvalidEvent
from flexcredits_schemas.identity import OTHER
from runtime.postgres.pool import Connection, Pool

from aggregator.db.batch.ledger import add_corrected, select_originals, select_other_parts
from aggregator.db.catalog_cache import Catalog, hold_catalog
from aggregator.db.dead_letters import insert_dead_letters
from aggregator.db.progress import HOUR_S, resolve_held
from aggregator.db.rollups.attributed import add_runs
from aggregator.db.rollups.rollups import add_checked_rollups
from aggregator.db.rollups.sums import note_limited, select_rooms
from aggregator.db.statements import SQL
from aggregator.db.unnest import by_bucket, columns_of
from aggregator.domain.corrections import follow_original, validate_correction
from aggregator.domain.decode import Kind, Rejection, UsageRecord, read_record, reject
from aggregator.domain.limits.series_key import SeriesKey
from aggregator.domain.people.attribution import Run
from aggregator.domain.people.runs import Runs
from aggregator.domain.rating import quantities_text, read_quantities
from aggregator.domain.rollup import Decision, Rollups, decide, empty_rollups, fold, fold_runs, missing_unit
from aggregator.domain.sum_limit import SUM_LIMIT, Rooms, fit
from aggregator.measures import observe_rollups
from aggregator.metrics import DEAD_LETTERS

Identity = tuple[int, UUID]
"""The key of an event in the ledger."""


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


async def release_chunk(
    pool: Pool, topics: tuple[str, str], catalog: Catalog, organization_id: int, series: Mapping[int, SeriesKey],
    partition: int, identities: Sequence[Identity],
) -> int:  # fmt: skip
    """Count these held events of an organization and a Kafka partition. Returns how many of them count now.

    `series` has the dimensions of their series. Events that another aggregator releases are left out.
    """
    topic, catalog_topic = topics
    async with pool.acquire() as connection, connection.transaction():
        await hold_catalog(connection, catalog_topic, catalog)
        # Progress is locked before held rows, as by batches, and of one partition only: a release that waited for the
        # batches of many partitions would keep each of them from its next batch.
        await connection.fetch(SQL["lock_progress"], topic, [partition])
        await connection.execute(SQL["plan_by_index"])
        rows = await connection.fetch(SQL["lock_held"], *map(list, zip(*identities, strict=True)))
        await connection.execute(SQL["plan_as_usual"])
        rooms = await select_rooms(connection, catalog.limited & {organization_id})
        in_order = sorted(rows, key=lambda row: row["kafka_offset"])
        decisions, rejections = await _decide(connection, topic, catalog, series, in_order, rooms)
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
    return len(counted)


async def _decide(
    connection: Connection,
    topic: str,
    catalog: Catalog,
    series: Mapping[int, SeriesKey],
    rows: Sequence[asyncpg.Record],
    rooms: Rooms,
) -> tuple[list[Decision], list[tuple[UsageRecord, Rejection]]]:
    decisions: list[Decision] = []
    rejections: list[tuple[UsageRecord, Rejection]] = []
    uses = [_stored_use(topic, series[row["series_id"]], row) for row in rows]
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
    groups: dict[int, list[Decision]] = defaultdict(list)
    for decision in sorted(counted):
        groups[decision.use.ledger_bucket].append(decision)
    for bucket, group in groups.items():
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
    for bucket, identities in by_bucket((use.ledger_bucket, use.identity) for use, _ in rejections):
        await connection.execute(SQL["delete_held_ledger"], bucket, identities)
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
