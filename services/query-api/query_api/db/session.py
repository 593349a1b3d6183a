"""What we read from Postgres: every read inside one read-only snapshot that row-level security ties to one organization."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import asyncpg
from runtime.line import LineFull
from runtime.postgres import Connection, Pool, line_of, load_sql, passing_failure

from query_api.alerts.queries import AlertReads
from query_api.contracts.queries import ContractReads
from query_api.exports.queries import ExportReads
from query_api.ledger.queries import LedgerReads
from query_api.usage.queries import UsageReads

SQL = load_sql("query_api")

WAIT_S = 15.0
"""For a connection while all are in use: a loaded machine answers late rather than not at all."""
CONNECT_S = 10.0
"""For a new connection. One that is refused or lost fails at once."""


class Unavailable(Exception):
    """Postgres does not answer, or not in time."""


class Busy(Unavailable):
    """Postgres answers others: this read waited for too long, or took too long."""


class NotIsolated(Exception):
    """The database role is exempt from row-level security: an organization could see another's rows."""


class Organization(NamedTuple):
    """Ids are None when nothing is known; no time zone means that no fact about it has arrived."""

    organization_id: int | None
    time_zone: str | None
    billing_moderator_enabled: bool
    removed: bool  # the person who asks has left it
    name: str | None
    locale: str


class Watermark(NamedTuple):
    partitions: int
    updated_at: datetime | None
    complete_to: datetime | None


class Version(NamedTuple):
    """Counts of what usage and catalog have come to; with another content, one of them is another."""

    events: int
    credits: int
    corrections: int
    sightings: Decimal
    newest_fact: int
    rebuilt: int


class Level(NamedTuple):
    """What totals and banner follow from on one day."""

    events: int
    credits: int
    corrections: int
    newest_contract: int | None
    newest_fact: int | None
    banner: str | None
    dismissals: int


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


class Quarantined(NamedTuple):
    """Something that fails for this organization alone."""

    component: str
    step: str
    since: datetime
    retry_at: datetime | None


class Audited(NamedTuple):
    audit_id: int
    at: datetime
    subject: str
    email: str
    role: str
    action: str
    details: str  # JSON
    request_id: str
    ip: str | None


@contextmanager
def reaching_postgres(given_up: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Turns failures that pass into Unavailable, or into nothing when nobody wants any more of what failed."""
    try:
        yield
    except LineFull as error:
        raise Busy(str(error)) from None
    except asyncpg.QueryCanceledError as error:
        if not given_up():
            raise Busy(f"{type(error).__name__}: {error}") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        if given_up():
            return
        # A value that asyncpg cannot encode is a ValueError too, and a defect of ours.
        if isinstance(error, ValueError) or not passing_failure(error):
            raise
        raise Unavailable(f"{type(error).__name__}: {error}") from error


@asynccontextmanager
async def connect_as(pool: Pool, organization: str, *, wait_s: float) -> AsyncIterator[Connection]:
    """A connection of the pool. Organizations take turns, so that one's slow reads leave the others their places."""
    async with line_of(pool).place(organization, wait_s=wait_s), pool.acquire(timeout=CONNECT_S) as connection:
        yield connection


@asynccontextmanager
async def read_as(pool: Pool, organization: str, email: str, *, wait_s: float = WAIT_S) -> AsyncIterator["Reading"]:
    """One snapshot for all reads of a request. Raises Unavailable, from the reads inside the block too."""
    unfinished = False
    with reaching_postgres(lambda: unfinished):
        async with (
            connect_as(pool, organization, wait_s=wait_s) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(SQL["act_for"], organization)
            row = await connection.fetchrow(SQL["select_organization"], organization, email)
            assert row is not None
            if not row["is_isolated"]:
                raise NotIsolated(NotIsolated.__doc__)
            reading = Reading(connection, Organization(*row[:6]))
            yield reading
            unfinished = reading.unfinished


class Reading(AlertReads, ContractReads, ExportReads, LedgerReads, UsageReads):
    """The reads of one request, all of one organization and one instant. Credits are micro-credits."""

    def __init__(self, connection: Connection, organization: Organization) -> None:
        self._connection = connection
        self.organization = organization
        self._id = organization.organization_id

    async def select_watermark(self, topic: str) -> Watermark:
        row = await self._connection.fetchrow(SQL["select_watermark"], topic)
        assert row is not None
        return Watermark(*row)

    async def select_version(self) -> Version:
        row = await self._connection.fetchrow(SQL["select_version"], self._id)
        assert row is not None
        return Version(*row)

    async def select_level(self) -> Level:
        row = await self._connection.fetchrow(SQL["select_level"], self._id)
        assert row is not None
        return Level(*row)

    async def select_progress(self, topic: str) -> list[Progress]:
        return [Progress(*row) for row in await self._connection.fetch(SQL["select_progress"], topic)]

    async def count_held(self, topic: str) -> int:
        held: int = await self._connection.fetchval(SQL["count_held"], self._id, topic)
        return held

    async def select_quarantine(self) -> list[Quarantined]:
        return [Quarantined(*row) for row in await self._connection.fetch(SQL["select_quarantine"], self._id)]

    async def select_audit(self, before: int | None, limit: int) -> list[Audited]:
        """The newest first, those before the row `before` or from the newest on."""
        return [Audited(*row) for row in await self._connection.fetch(SQL["select_audit"], self._id, before, limit)]


async def find_problem(pool: Pool) -> str | None:
    """Why requests cannot be answered now, for the readiness probe, whose pool is its own: a busy one is no problem."""
    try:
        async with read_as(pool, "", ""):
            return None
    except (Unavailable, NotIsolated) as error:
        return f"Postgres: {error}"
