"""Statements of live updates."""

from typing import NamedTuple

from runtime.postgres.statements import from_record

from query_api.db.session import ReadSession
from query_api.db.statements import SQL


class LiveVersion(NamedTuple):
    """Versions of the data behind overview and banner. While they are equal, so are both, within one day."""

    events: int
    credits: int
    corrections: int
    newest_contract: int | None
    newest_event_offset: int | None
    newest_reload: int | None
    banner: str | None
    dismissals: int


async def select_live_version(session: ReadSession) -> LiveVersion:
    row = await session.connection.fetchrow(SQL["select_live_version"], session.organization_id)
    assert row is not None
    return from_record(LiveVersion, row)
