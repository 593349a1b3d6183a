"""Sessions of Postgres: one transaction for each request, which row-level security ties to one organization."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import asyncpg
from runtime.postgres.errors import passing_failure
from runtime.postgres.line import LineFull
from runtime.postgres.pool import Connection, Pool, line_of
from runtime.postgres.statements import from_record

from query_api.db.statements import SQL

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
    is_isolated: bool  # row-level security binds us


class ReadSession:
    """The transaction of one request, which reads one organization's rows at one instant."""

    def __init__(self, connection: Connection, organization: Organization) -> None:
        self.connection = connection
        self.organization = organization
        self.organization_id = organization.organization_id
        self.is_broken = False
        """Whether a copy was broken off. Nothing can be read any more then."""


class WriteSession(ReadSession):
    """The transaction of one request that changes something. Each of its reads sees what others have committed by then."""


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
async def read_as(pool: Pool, organization: str, email: str, *, wait_s: float = WAIT_S) -> AsyncIterator[ReadSession]:
    """One snapshot for all reads of a request. Raises Unavailable, from the reads inside the block too."""
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
    """One transaction for everything that a request changes. Raises Unavailable."""
    with reaching_postgres():
        async with connect_as(pool, organization, wait_s=wait_s) as connection, connection.transaction():
            yield WriteSession(connection, await act_for(connection, organization, email))


async def act_for(connection: Connection, organization: str, email: str) -> Organization:
    """From here to the end of the transaction, row-level security shows this organization alone. Raises NotIsolated.

    `email` is that of the person who asks.
    """
    await connection.execute(SQL["act_for"], organization)
    row = await connection.fetchrow(SQL["select_organization"], organization, email)
    assert row is not None
    found = from_record(Organization, row)
    if not found.is_isolated:
        raise NotIsolated(NotIsolated.__doc__)
    return found


async def find_problem(pool: Pool) -> str | None:
    """Why requests cannot be answered now, for the readiness probe, whose pool is its own: a busy one is no problem."""
    try:
        async with read_as(pool, "", ""):
            return None
    except (Unavailable, NotIsolated) as error:
        return f"Postgres: {error}"
