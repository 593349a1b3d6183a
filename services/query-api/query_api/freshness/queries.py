"""Statements about the freshness of totals."""

from datetime import datetime
from typing import NamedTuple

from runtime.postgres.statements import from_record

from query_api.db.rows import from_records
from query_api.db.session import ReadSession
from query_api.db.statements import SQL


class Watermark(NamedTuple):
    partitions: int
    updated_at: datetime | None
    complete_to: datetime | None


class Quarantined(NamedTuple):
    """A step that fails for this organization only."""

    component: str
    step: str
    since: datetime
    retry_at: datetime | None


async def select_watermark(session: ReadSession, topic: str) -> Watermark:
    row = await session.connection.fetchrow(SQL["select_watermark"], topic)
    assert row is not None
    return from_record(Watermark, row)


async def count_held(session: ReadSession, topic: str) -> int:
    held: int = await session.connection.fetchval(SQL["count_held"], session.organization_id, topic)
    return held


async def select_quarantine(session: ReadSession) -> list[Quarantined]:
    rows = await session.connection.fetch(SQL["select_quarantine"], session.organization_id)
    return from_records(Quarantined, rows)
