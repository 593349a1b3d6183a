"""Statements of the proof: dispositions of records, and sums over all time. Credits are micro-credits."""

from datetime import date, datetime
from typing import NamedTuple

import asyncpg
from runtime.postgres.statements import from_record

from query_api.db.rows import from_records
from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.ledger.domain import CountedZone, Hour

LEDGER_SCAN_MS = 15_000


class Progress(NamedTuple):
    topic: str
    partition: int
    applied: int
    counted: int
    duplicate: int
    rejected: int
    held: int
    skipped: int
    end_offset: int | None
    end_seen_at: datetime | None


class Rollups(NamedTuple):
    """Sum over all time at each grain, in micro-credits."""

    quarter_hours: int
    days: int
    months: int
    organization_days: int
    organization_months: int


async def select_progress(session: ReadSession, topic: str) -> list[Progress]:
    return from_records(Progress, await session.connection.fetch(SQL["select_progress"], topic))


async def select_hours(session: ReadSession, topic: str, since_at: datetime) -> list[Hour]:
    """By partition, oldest first. Hours without records are left out."""
    return from_records(Hour, await session.connection.fetch(SQL["select_hours"], topic, since_at))


async def select_zone_rules(session: ReadSession, time_zone: str) -> CountedZone:
    """Time zone rules with which the organization's days were counted."""
    row = await session.connection.fetchrow(SQL["select_zone_rules"], session.organization_id, time_zone)
    return from_record(CountedZone, row) if row else CountedZone(None, None)


async def sum_rollups(session: ReadSession, whole_from: date, whole_from_at: datetime) -> Rollups:
    """Sums over all time. Quarters of an hour are used from the day `whole_from` on, which begins at `whole_from_at`."""
    row = await session.connection.fetchrow(SQL["sum_rollups"], session.organization_id, whole_from, whole_from_at)
    assert row is not None
    return from_record(Rollups, row)


async def sum_ledger(session: ReadSession, within_ms: int = LEDGER_SCAN_MS) -> int | None:
    """Credits of all counted events; None if the statement times out, as no index helps."""
    try:
        async with session.connection.transaction():
            await session.connection.execute(SQL["set_statement_timeout"], str(within_ms))
            total: int = await session.connection.fetchval(SQL["sum_ledger"], session.organization_id)
            return total
    except asyncpg.QueryCanceledError:
        return None
