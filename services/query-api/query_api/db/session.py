"""Postgres sessions: one transaction per request, limited to one organization by row-level security."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import asyncpg
from runtime.postgres.errors import transient_error_code
from runtime.postgres.line import LineFull
from runtime.postgres.pool import Connection, Pool, line_of
from runtime.postgres.statements import from_record

from query_api.db.statements import SQL

WAIT_S = 15.0
"""Wait for a free connection of the pool. Long, because under load a late answer is better than an error."""
CONNECT_S = 10.0
"""Timeout for a new connection. A refused or lost connection fails at once."""


class Unavailable(Exception):
    """Postgres is unavailable, or too slow."""


class Busy(Unavailable):
    """Postgres is available, but this request waited too long for a connection or its statement timed out."""


class NotIsolated(Exception):
    """The database role is exempt from row-level security: an organization could see another's rows."""


class Organization(NamedTuple):
    """`organization_id` is None for an unknown organization; `time_zone` is None until an organization event arrived."""

    organization_id: int | None
    time_zone: str | None
    billing_moderator_enabled: bool
    removed: bool  # the principal was removed from it
    name: str | None
    locale: str
    is_isolated: bool  # row-level security applies to our role


class ReadSession:
    """Read-only transaction of one request: one organization's rows in one snapshot."""

    def __init__(self, connection: Connection, organization: Organization) -> None:
        self.connection = connection
        self.organization = organization
        self.organization_id = organization.organization_id
        self.is_broken = False
        """Whether a COPY was aborted. The connection is then closed and cannot be used any more."""


class WriteSession(ReadSession):
    """Read-write transaction of one request (READ COMMITTED): each statement sees what others have committed before it."""


@contextmanager
def reaching_postgres(given_up: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Raises Unavailable for transient errors. Ignores them if `given_up()`: the result is not needed any more."""
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
        # A value that asyncpg cannot encode raises a ValueError subclass; that is a bug, not an outage.
        if isinstance(error, ValueError) or not transient_error_code(error):
            raise
        raise Unavailable(f"{type(error).__name__}: {error}") from error


@asynccontextmanager
async def connect_as(pool: Pool, organization: str, *, wait_s: float) -> AsyncIterator[Connection]:
    """A connection of the pool. Organizations get connections in turn, so slow reads of one do not block the others."""
    async with line_of(pool).place(organization, wait_s=wait_s), pool.acquire(timeout=CONNECT_S) as connection:
        yield connection


@asynccontextmanager
async def read_as(pool: Pool, organization: str, email: str, *, wait_s: float = WAIT_S) -> AsyncIterator[ReadSession]:
    """One snapshot for all reads of a request. Raises Unavailable, also for errors of reads inside the block."""
    is_broken = False
    with reaching_postgres(lambda: is_broken):
        async with (
            connect_as(pool, organization, wait_s=wait_s) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            session = ReadSession(connection, await act_for(connection, organization, email))
            yield session
            is_broken = session.is_broken


@asynccontextmanager
async def write_as(
    pool: Pool, organization: str, email: str = "", *, wait_s: float = WAIT_S
) -> AsyncIterator[WriteSession]:
    """One transaction for all changes of a request. Raises Unavailable."""
    with reaching_postgres():
        async with connect_as(pool, organization, wait_s=wait_s) as connection, connection.transaction():
            yield WriteSession(connection, await act_for(connection, organization, email))


async def act_for(connection: Connection, organization: str, email: str) -> Organization:
    """Limit the transaction to this organization by row-level security. Raises NotIsolated.

    `email` is the principal's.
    """
    await connection.execute(SQL["act_for"], organization)
    row = await connection.fetchrow(SQL["select_organization"], organization, email)
    assert row is not None
    found = from_record(Organization, row)
    if not found.is_isolated:
        raise NotIsolated(NotIsolated.__doc__)
    return found


async def find_problem(pool: Pool) -> str | None:
    """Why Postgres cannot be used, for the readiness probe; None if it can. `pool` is separate, so busy pools do not count."""
    try:
        async with read_as(pool, "", ""):
            return None
    except (Unavailable, NotIsolated) as error:
        return f"Postgres: {error}"
