"""The statement for the breakdown's entity tag."""

from decimal import Decimal
from typing import NamedTuple

from runtime.postgres.statements import from_record

from query_api.db.session import ReadSession
from query_api.db.statements import SQL


class UsageVersion(NamedTuple):
    """Counters of usage and catalog. If the content changes, at least one of them changes."""

    events: int
    credits: int
    corrections: int
    sightings: Decimal
    newest_event_offset: int
    rebuilt: int
    series: int


async def select_usage_version(session: ReadSession) -> UsageVersion:
    row = await session.connection.fetchrow(SQL["select_usage_version"], session.organization_id)
    assert row is not None
    return from_record(UsageVersion, row)
