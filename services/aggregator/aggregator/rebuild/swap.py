"""Recounts the rollups of a range from the log and corrects the live ones while counting continues.

A rebuild compares at one instant: progress, ledger and rollups of one snapshot of Postgres, and the log up to the
positions in it. Rollups are sums, and every writer only adds to them, so a difference at the snapshot stays the same
whatever is counted later. Adding the differences in one transaction therefore swaps the rebuilt rows in, without a
fence. Runs also have times and names, which are not sums: they are recounted under the locks of their rows, in portions.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from flexcredits_schemas.calendar import midnight
from runtime.kafka.clients import KafkaSettings, open_consumer
from runtime.postgres.pool import Connection
from runtime.postgres.pooler import connect_directly

from aggregator.db.rollups.rollups import add_months, add_rollups
from aggregator.db.statements import SQL
from aggregator.domain.decode import empty_batch, read
from aggregator.domain.rollup import Organization, Rollups
from aggregator.rebuild.compare import Months, TableDifference, rollup_differences, summarize
from aggregator.rebuild.live import read_live
from aggregator.rebuild.recount import Recounter
from aggregator.rebuild.result import Recount
from aggregator.rebuild.runs.differences import RunDifferences, compare_runs, replace_runs
from aggregator.rebuild.runs.names import RunNameTable
from aggregator.rebuild.scope import Days, Snapshot
from aggregator.rebuild.transactions import apart_if_needed, in_transaction

AT_ONCE = 5_000  # records between two queries of the ledger
WINDOW_DAYS = 400
SLACK = timedelta(hours=1)
"""An event may be this much later than its receipt: ingest accepts 5 minutes, and clocks differ."""
RUNS_AT_ONCE = 500
"""Runs per transaction, which then holds their locks for about a second: it reads each in all partitions of the ledger."""

Report = Callable[[str], None]


class CannotRebuild(Exception):
    """The reason why a rebuild is not possible, and an alternative."""


@dataclass(frozen=True)
class Comparison:
    """The differences at the snapshot. `positions` are the offsets up to which it was counted."""

    days: Days
    positions: dict[int, int]
    recount: Recount
    differences: Rollups
    months: Months
    runs: RunDifferences
    tables: list[TableDifference]

    @property
    def differs(self) -> bool:
        return any((*self.differences, *self.months, self.runs.runs))

    def only(self, organization_id: int) -> "Comparison":
        """The differences of one organization."""
        return replace(
            self,
            differences=Rollups(*(_of(organization_id, cells) for cells in self.differences)),
            months=Months(*(_of(organization_id, cells) for cells in self.months)),
            runs=self.runs.only(organization_id),
        )

    def organizations(self) -> list[int]:
        """The numbers of the organizations whose rows change."""
        cells = [key[0] for table in (*self.differences, *self.months) for key in table]
        return sorted({*cells, *(run.organization_id for run in self.runs.runs)})


def _of(organization_id: int, cells: Mapping[Any, list[int]]) -> dict[Any, list[int]]:
    return {key: cell for key, cell in cells.items() if key[0] == organization_id}


@asynccontextmanager
async def only_rebuild(dsn: str) -> AsyncIterator[Connection]:
    """A connection that holds the rebuild lock. Raises CannotRebuild when another process holds it, and ThroughPooler."""
    connection = await connect(dsn)
    try:
        if not await connection.fetchval(SQL["try_rebuild_lock"]):
            raise CannotRebuild("another rebuild is running on this database.")
        yield connection
    finally:
        await connection.close()


async def connect(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    settings = {"application_name": "rebuild", "search_path": "public", "jit": "off"}
    settings |= {"idle_in_transaction_session_timeout": "0", "statement_timeout": "0", "lock_timeout": "15000"}
    return await connect_directly(dsn, settings)


async def compare(
    kafka: KafkaSettings, dsn: str, holder: Connection, topic: str, first: date, last: date, organization: str | None,
    report: Report,
) -> Comparison:  # fmt: skip
    """Count the days `first` to `last` from the log and compare. Changes nothing and waits for no other transaction.

    Raises CannotRebuild when the log does not reach back to the range, or was re-created.
    """
    if first < datetime.now(UTC).date() - timedelta(days=WINDOW_DAYS):
        raise CannotRebuild(
            f"days before the last {WINDOW_DAYS} are outside the window in which the ledger knows them."
        )
    reader = await connect(dsn)
    namer = await connect(dsn)
    try:
        async with (
            holder.transaction(isolation="repeatable_read", readonly=True),
            open_consumer(kafka.kafka_bootstrap, "rebuild", **kafka.kafka_security()) as consumer,
        ):
            snapshot = Snapshot(await holder.fetchval(SQL["export_snapshot"]), reader)
            positions = {
                row["partition"]: row["next_offset"] for row in await holder.fetch(SQL["select_progress"], topic)
            }
            days = Days(first, last, await _organizations(holder, organization))
            names = RunNameTable(namer)
            await names.open()
            recounter = Recounter(snapshot, topic, days, names)
            await recounter.learn()
            starts = await _starts(consumer, holder, topic, positions, days)
            await _read(consumer, topic, starts, positions, recounter, report)
            await recounter.check_ledger()
            days = recounter.days
            live, months = await read_live(snapshot, days)
            runs = await compare_runs(snapshot, days, recounter.recount, names)
    finally:
        await reader.close()
        await namer.close()
    differences = rollup_differences(recounter.recount.rollups, live)
    tables = [*summarize(recounter.recount.rollups, live, differences, months), runs.table]
    return Comparison(days, positions, recounter.recount, differences, months, runs, tables)


async def swap(holder: Connection, comparison: Comparison, runs_at_once: int = RUNS_AT_ONCE) -> None:
    """Replace the live rows by the rebuilt ones: sums in one transaction, then runs in portions. Not safe to repeat after a
    lost connection. A new rebuild finds the runs that are left.

    If the rows of an organization make that fail, each organization is swapped separately, and those that fail are
    added to `failed`, also if another failure ends the swap.
    """
    if comparison.recount.contradictions:
        raise CannotRebuild("the log and the ledger contradict each other: rollups cannot agree with both.")
    names = {at.organization_id: name for name, at in comparison.days.organizations.items()}
    failed: dict[int, str] = {}
    try:
        await _swap(holder, comparison, runs_at_once, failed)
    finally:
        comparison.recount.failed.update((names[number], reason) for number, reason in failed.items())


async def _swap(holder: Connection, comparison: Comparison, runs_at_once: int, failed: dict[int, str]) -> None:
    await apart_if_needed(
        partial(in_transaction, holder, partial(_add, holder, comparison)),
        {
            number: partial(in_transaction, holder, partial(_add, holder, comparison.only(number)))
            for number in comparison.organizations()
        },
        failed,
    )
    runs = sorted(comparison.runs.runs, key=lambda run: (run.organization_id, run.run.bytes))
    for start in range(0, len(runs), runs_at_once):
        portion = [run for run in runs[start : start + runs_at_once] if run.organization_id not in failed]
        of_each = {
            number: [run for run in portion if run.organization_id == number]
            for number in sorted({run.organization_id for run in portion})
        }
        await apart_if_needed(
            partial(in_transaction, holder, partial(replace_runs, holder, portion)),
            {
                number: partial(in_transaction, holder, partial(replace_runs, holder, its))
                for number, its in of_each.items()
            },
            failed,
        )


async def note_failures(holder: Connection, comparison: Comparison) -> None:
    """Record the organizations that were left out, for operators and the organizations, until a rebuild includes
    them."""
    failed = comparison.recount.failed
    compared = [at.organization_id for name, at in comparison.days.organizations.items() if name not in failed]
    async with holder.transaction():
        await holder.execute(SQL["end_rebuild_failures"], compared)
        await holder.execute(SQL["note_rebuild_failures"], list(failed), list(failed.values()))


async def _add(connection: Connection, comparison: Comparison) -> None:
    days, differences, months = comparison.days, comparison.differences, comparison.months
    changed = comparison.organizations()
    await add_rollups(connection, differences)
    await add_months(connection, months.months)
    if months.organization_months:
        rows = [(*key, *cell) for key, cell in months.organization_months.items()]
        await connection.execute(SQL["add_organization_months"], *zip(*rows, strict=True))
    if months.attributed_months:
        rows = [(*key, *cell) for key, cell in months.attributed_months.items()]
        await connection.execute(SQL["add_attributed_month_rests"], *zip(*rows, strict=True))
    await connection.execute(SQL["forget_empty_rows"], changed, days.begins(), days.ends())
    await connection.execute(SQL["insert_rebuild"], changed, days.first, days.last)
    await connection.execute(SQL["insert_totals"], changed)


async def _organizations(connection: Connection, name: str | None) -> dict[str, Organization]:
    rows = await connection.fetch(SQL["select_all_organizations"])
    known = {row["organization"]: Organization(row["organization_id"], row["time_zone"]) for row in rows}
    if name is None:
        return known
    if name not in known:
        raise CannotRebuild(f"no organization {name!r} whose time zone is known: nothing of it is counted.")
    return {name: known[name]}


async def _starts(
    consumer: AIOKafkaConsumer, connection: Connection, topic: str, positions: Mapping[int, int], days: Days
) -> dict[int, int]:
    """The offsets from which the log must be read: no earlier record can belong to the days."""
    partitions = [TopicPartition(topic, partition) for partition, position in positions.items() if position]
    consumer.assign(partitions)
    begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    since = days.begins() - SLACK
    kept_since: datetime | None = None
    for at in partitions:
        if ends[at] < positions[at.partition]:
            raise CannotRebuild(
                f"{topic}/{at.partition} ends at {ends[at]}, and {positions[at.partition]} were counted: it was re-created."
            )
        if begins[at]:
            began = await _kept_since(consumer, connection, at, begins[at], ends[at])
            kept_since = max(kept_since or began, began)
    if kept_since is not None and kept_since > since:
        raise CannotRebuild(
            f"{topic} holds what was received since {kept_since:%Y-%m-%d %H:%M} UTC: days from"
            f" {_first_rebuildable(kept_since, days)} on can be rebuilt."
        )
    found = await consumer.offsets_for_times({at: int(since.timestamp() * 1000) for at in partitions})
    return {at.partition: found[at].offset if found[at] else ends[at] for at in partitions}


async def _kept_since(
    consumer: AIOKafkaConsumer, connection: Connection, at: TopicPartition, begin: int, end: int
) -> datetime:
    """The time of receipt of the oldest record that retention kept, or of the last record if the log is empty."""
    if begin == end:
        for row in await connection.fetch(SQL["select_last_hours"], at.topic):
            if row["partition"] == at.partition:
                ended_at: datetime = row["ended_at"]
                return ended_at
        return datetime.now(UTC)
    first = (await consumer.offsets_for_times({at: 0}))[at]
    return datetime.fromtimestamp(first.timestamp / 1000, UTC) if first else datetime.now(UTC)


def _first_rebuildable(kept_since: datetime, days: Days) -> date:
    day = kept_since.date()
    zones = {str(organization.time_zone) for organization in days.organizations.values()} or {"UTC"}
    while any(midnight(day, zone) - SLACK < kept_since for zone in zones):
        day += timedelta(days=1)
    return day


async def _read(
    consumer: AIOKafkaConsumer, topic: str, starts: Mapping[int, int], ends: Mapping[int, int], recounter: Recounter,
    report: Report,
) -> None:  # fmt: skip
    """Pass every record from `starts` to before `ends` to the recounter."""
    left = {TopicPartition(topic, partition) for partition, start in starts.items() if start < ends[partition]}
    consumer.assign(list(left))
    for at in left:
        consumer.seek(at, starts[at.partition])
    while left:
        for at, records in (await consumer.getmany(*left, timeout_ms=1000, max_records=AT_ONCE)).items():
            batch = empty_batch()
            read([record for record in records if record.offset < ends[at.partition]], batch)
            await recounter.add(batch)
        done = {at for at in left if await consumer.position(at) >= ends[at.partition]}
        consumer.pause(*done)
        left -= done
        report(f"{recounter.recount.records:,} records read, {recounter.recount.counted.total():,} counted")
