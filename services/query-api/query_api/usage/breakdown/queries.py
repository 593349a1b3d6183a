"""The statement behind the breakdown's entity tag."""

from decimal import Decimal
from typing import NamedTuple

from runtime.postgres.statements import from_record

from query_api.db.session import ReadSession
from query_api.db.statements import SQL


class Version(NamedTuple):
    """Counts of what usage and catalog have come to; with another content, one of them is another."""

    events: int
    credits: int
    corrections: int
    sightings: Decimal
    newest_fact: int
    rebuilt: int


async def select_version(session: ReadSession) -> Version:
    row = await session.connection.fetchrow(SQL["select_version"], session.organization_id)
    assert row is not None
    return from_record(Version, row)
