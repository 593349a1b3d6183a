"""Statements of live updates."""

from typing import NamedTuple

from runtime.postgres.statements import from_record

from query_api.db.session import ReadSession
from query_api.db.statements import SQL


class Level(NamedTuple):
    """What totals and banner follow from on one day."""

    events: int
    credits: int
    corrections: int
    newest_contract: int | None
    newest_fact: int | None
    banner: str | None
    dismissals: int


async def select_level(session: ReadSession) -> Level:
    row = await session.connection.fetchrow(SQL["select_level"], session.organization_id)
    assert row is not None
    return from_record(Level, row)
