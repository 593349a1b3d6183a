"""Compares the runs that have usage in a range with the ledger, and replaces those that differ.

A run may begin before the range and end after it, so each run is recounted as a whole. The ledger has all of it but two
texts: the id, of which it has the hash, and the parent, which only the log has.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg
from asyncpg.pgproto.pgproto import UUID
from flexcredits_schemas.identity import run_identity_of
from runtime.postgres.pool import Connection

from aggregator.db.statements import SQL
from aggregator.rebuild.compare import TableDifference
from aggregator.rebuild.result import Recount
from aggregator.rebuild.runs.names import RunNameTable
from aggregator.rebuild.scope import Days, Snapshot, ledger_begins

AT_ONCE = 5_000  # rows fetched at a time
DIFFERENCES_MAX = 500_000
"""Runs to replace that are kept in memory, some 600 bytes each."""


class RunRow(NamedTuple):
    """A row of usage_runs without its key. Credits in micro-credits."""

    run_id: str
    parent_id: str
    credits: int
    events: int
    first_at: datetime
    last_at: datetime
    agent_id: str
    attribution_id: int


class RunDifference(NamedTuple):
    organization_id: int
    run: UUID
    rebuilt: RunRow | None
    """None: the ledger counts nothing of it."""


class RunDifferences(NamedTuple):
    """The runs to replace."""

    runs: list[RunDifference]
    table: TableDifference
    left: int
    """Number of runs that began before the ledger does. They cannot be recounted, and stay as they are."""

    def only(self, organization_id: int) -> "RunDifferences":
        return self._replace(runs=[run for run in self.runs if run.organization_id == organization_id])


async def compare_runs(snapshot: Snapshot, days: Days, recount: Recount, names: RunNameTable) -> RunDifferences:
    """The differences at the snapshot, up to DIFFERENCES_MAX: another rebuild finds the rest. Records a contradiction for a run
    whose row is lost, and whose id no record of the days has."""
    spans = days.spans()
    inside = {organization_id: (begins, ends) for organization_id, begins, ends in spans}
    complete_from = ledger_begins()
    found: list[RunDifference] = []
    rows = left = differing = 0
    sums = [[0, 0], [0, 0]]
    async with snapshot.read() as connection:
        cursor = await connection.cursor(SQL["select_touched_runs"], *_columns(spans))
        while portion := await cursor.fetch(AT_ONCE):
            named = await names.find((row["organization_id"], row["run"].bytes) for row in portion)
            for row in portion:
                live = _live(row)
                begins = [at for at in (row["first_at"], row["live_first_at"]) if at is not None]
                if not begins or min(begins) < complete_from:  # of a run without both, only corrections are left
                    left += 1
                    continue
                name = named.get((row["organization_id"], row["run"].bytes), ("", ""))
                rebuilt = _rebuilt(row, live, inside[row["organization_id"]], name, recount)
                for place, run in enumerate((live, rebuilt)):
                    if run is not None:
                        sums[place][0] += run.credits
                        sums[place][1] += run.events
                rows += rebuilt is not None
                if live != rebuilt:
                    differing += 1
                    if differing <= DIFFERENCES_MAX:
                        found.append(RunDifference(row["organization_id"], row["run"], rebuilt))
    table = TableDifference("usage_runs", rows, differing, (sums[0][0], sums[0][1]), (sums[1][0], sums[1][1]))
    return RunDifferences(found, table, left)


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _live(row: asyncpg.Record) -> RunRow | None:
    if row["live_run_id"] is None:
        return None
    return RunRow._make(row[f"live_{name}"] for name in RunRow._fields)


def _rebuilt(
    row: asyncpg.Record, live: RunRow | None, inside: tuple[datetime, datetime], name: tuple[str, str], recount: Recount
) -> RunRow | None:
    if row["credits"] is None:
        return None
    run_id, parent_id = name
    if live is not None and run_identity_of(live.run_id) == row["run"].bytes:
        run_id = live.run_id
    if not run_id:
        recount.contradict(
            f"run {row['run']} lost its row, and no record of these days has its id: begin on {row['first_at']:%Y-%m-%d}"
        )
    if live is not None and not inside[0] <= row["first_at"] <= row["last_at"] < inside[1]:
        parent_id = max(parent_id, live.parent_id)
    return RunRow(
        run_id, parent_id, row["credits"], row["events"], row["first_at"], row["last_at"], row["agent_id"],
        row["attribution_id"],
    )  # fmt: skip


async def replace_runs(connection: Connection, runs: Sequence[RunDifference]) -> None:
    """Replace the rows by what the ledger counts now, under their locks, so that counting may continue meanwhile."""
    if not runs:
        return
    kept = [
        (at.organization_id, at.run, at.rebuilt.run_id, at.rebuilt.parent_id, at.rebuilt.events)
        for at in runs
        if at.rebuilt is not None
    ]
    keys = _columns([(at.organization_id, at.run) for at in runs])
    if kept:
        await connection.execute(SQL["insert_missing_runs"], *_columns(kept)[:4])
    await connection.execute(SQL["lock_runs"], *keys)
    if kept:
        await connection.execute(SQL["recount_runs"], *_columns(kept))
    await connection.execute(SQL["delete_unknown_runs"], *keys)
