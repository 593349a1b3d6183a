"""Statements about runs. Credits are micro-credits."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from query_api.db.rows import from_records
from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.runs.domain.cursors import RunPosition, UsePosition
from query_api.runs.domain.model import AgentSums, RunRecord, Use


class Matching(NamedTuple):
    """An attribution that matches a filter, from a day until before a day; None: without a limit."""

    attribution_id: int
    applies_from: date | None
    applies_until: date | None


class RunFilter(NamedTuple):
    """Runs that begin in [from_at, until_at). None: all agents, or all attributions."""

    from_at: datetime
    until_at: datetime
    agent_id: str | None
    attributions: Sequence[tuple[int, datetime, datetime]] | None
    """Attribution, and the instants between which it is wanted."""

    def values(self) -> tuple[object, ...]:
        """Parameters of statements, from the second on."""
        columns = (
            [None] * 3 if self.attributions is None else [[one[at] for one in self.attributions] for at in range(3)]
        )
        return (self.from_at, self.until_at, self.agent_id, *columns)


async def select_label_keys(session: ReadSession) -> list[str]:
    keys: list[str] | None = await session.connection.fetchval(SQL["select_label_keys"], session.organization_id)
    return keys or []


async def select_matching_attributions(
    session: ReadSession,
    actor: str | None,
    labels: dict[str, str] | None,
    group: str | None,
    groups: Sequence[str] | None,
) -> list[Matching]:
    """`groups` are the only groups to match; None: all."""
    rows = await session.connection.fetch(
        SQL["select_matching_attributions"], session.organization_id, actor,
        None if labels is None else json.dumps(labels), group, groups,
    )  # fmt: skip
    return from_records(Matching, rows)


async def select_runs(
    session: ReadSession, wanted: RunFilter, after: RunPosition | None, limit: int
) -> list[RunRecord]:
    """Highest credits first."""
    credits, run = (after[0], UUID(after[1])) if after else (None, None)
    rows = await session.connection.fetch(
        SQL["select_runs"], session.organization_id, *wanted.values(), credits, run, limit
    )
    return [read_run(row) for row in rows]


async def sum_runs_by_agent(session: ReadSession, wanted: RunFilter) -> list[AgentSums]:
    """Highest credits first."""
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
