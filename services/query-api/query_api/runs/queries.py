"""Statements about runs. Credits are micro-credits."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from query_api.db.rows import from_records
from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.runs.domain.cursors import RunPosition, UsePosition
from query_api.runs.domain.model import AgentSums, RunRecord, Use


class RunFilter(NamedTuple):
    """Runs that begin in [from_at, until_at). None: all agents, or all attributions."""

    from_at: datetime
    until_at: datetime
    agent_id: str | None
    attributions: Sequence[int] | None = None
    """Wanted at any time."""
    limited: Sequence[tuple[int, datetime, datetime]] = ()
    """Further attributions, and the instants between which each is wanted."""

    def values(self) -> tuple[object, ...]:
        """Parameters of statements, from the second on."""
        columns = [[one[at] for one in self.limited] for at in range(3)]
        return (self.from_at, self.until_at, self.agent_id, self.attributions, *columns)


async def select_runs(
    session: ReadSession, wanted: RunFilter, after: RunPosition | None, limit: int
) -> list[RunRecord]:
    """Highest credits first."""
    await session.connection.execute(SQL["plan_for_values"])
    credits, run = (after[0], UUID(after[1])) if after else (None, None)
    rows = await session.connection.fetch(
        SQL["select_runs"], session.organization_id, *wanted.values(), credits, run, limit
    )
    return [read_run(row) for row in rows]


async def sum_runs_by_agent(session: ReadSession, wanted: RunFilter) -> list[AgentSums]:
    """Highest credits first."""
    await session.connection.execute(SQL["plan_for_values"])  # for arrays that are hashed
    rows = await session.connection.fetch(SQL["sum_runs_by_agent"], session.organization_id, *wanted.values())
    return from_records(AgentSums, rows)


async def select_run(session: ReadSession, run: bytes) -> RunRecord | None:
    row = await session.connection.fetchrow(SQL["select_run"], session.organization_id, UUID(run))
    return read_run(row) if row else None


async def select_child_runs(session: ReadSession, run_id: str, limit: int) -> tuple[list[RunRecord], int]:
    """The first ones by time, and the number of all."""
    rows = await session.connection.fetch(SQL["select_child_runs"], session.organization_id, run_id, limit)
    return [read_run(row) for row in rows], rows[0]["children"] if rows else 0


async def select_run_uses(session: ReadSession, run: bytes, after: UsePosition, limit: int) -> list[Use]:
    at, bucket, identity = after
    rows = await session.connection.fetch(
        SQL["select_run_uses"], session.organization_id, UUID(run), at, bucket, UUID(identity), limit
    )
    return [Use(**dict(row) | {"identity": row["identity"].bytes}) for row in rows]


def read_run(row: asyncpg.Record) -> RunRecord:
    return RunRecord(
        run=row["run"].bytes,
        run_id=row["run_id"],
        parent_id=row["parent_id"],
        credits=row["credits"],
        events=row["events"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        agent_id=row["agent_id"],
        attribution_id=row["attribution_id"],
    )
