"""Postgres sessions: one transaction per request, limited to one organization by row-level security."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import NamedTuple

import asyncpg
from flexcredits_schemas import NEWEST_MIGRATION
from flexcredits_schemas.events import PeopleMode
from runtime.postgres.errors import is_without_session, transient_error_code
from runtime.postgres.line import LineFull
from runtime.postgres.pool import Connection, Pool, StatementListener, line_of, name_of
from runtime.postgres.schema import SchemaTooOld, check_schema
from runtime.postgres.statements import from_record

from query_api.db.statements import SQL
from query_api.metrics import POOL_WAIT_SECONDS, STATEMENT_SECONDS

WAIT_S = 15.0
"""Wait for a free connection of the pool. Long, because under load a late answer is better than an error."""
CONNECT_S = 10.0
"""Timeout for a new connection. A refused or lost connection fails at once."""


class Unavailable(Exception):
    """Postgres is unavailable, or too slow."""


class Busy(Unavailable):
    """Postgres is available, but this request would wait or has waited too long for a connection, or its statement timed out.

    `retry_after_s` is when a connection is expected to be free.
    """

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class NoSession(Busy):
    """Postgres, or a pooler before it, had no session for this request: other processes use them all."""


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
    people: PeopleMode  # what is shown of people
    my_usage: bool  # people may see their own usage
    is_isolated: bool  # row-level security applies to our role
    position: int  # of the server in its write-ahead log


class ReadSession:
    """Read-only transaction of one request: one organization's rows in one snapshot."""

    def __init__(
        self,
        connection: Connection,
        organization: Organization,
        finish: Callable[[], Awaitable[None]],
        *,
        on_replica: bool = False,
    ) -> None:
        self.connection = connection
        self.organization = organization
        self.organization_id = organization.organization_id
        self.on_replica = on_replica
        self.is_broken = False
        """Whether a COPY was aborted. The connection is then closed and cannot be used any more."""
        self._finish = finish

    async def finish(self) -> None:
        """End the transaction and give the connection back, before the answer is computed: it is then free for the next
        request. No statement may follow. Raises Unavailable."""
        await self._finish()


class WriteSession(ReadSession):
    """Read-write transaction of one request (READ COMMITTED): each statement sees what others have committed before it."""


@contextmanager
def reaching_postgres(given_up: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Raises Unavailable for transient errors. Ignores them if `given_up()`: the result is not needed any more."""
    try:
        yield
    except LineFull as error:
        raise Busy(str(error), error.expected_wait_s) from None
    except asyncpg.QueryCanceledError as error:
        if not given_up():
            raise Busy(f"{type(error).__name__}: {error}") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        if given_up():
            return
        if is_without_session(error):
            raise NoSession(f"{type(error).__name__}: {error}") from error
        # A value that asyncpg cannot encode raises a ValueError subclass; that is a bug, not an outage.
        if isinstance(error, ValueError) or not transient_error_code(error):
            raise
        raise Unavailable(f"{type(error).__name__}: {error}") from error


@asynccontextmanager
async def connect_as(pool: Pool, organization: str, *, wait_s: float) -> AsyncIterator[Connection]:
    """A connection of the pool. Organizations get connections in turn, so slow reads of one do not block the others."""
    began = time.perf_counter()
    async with line_of(pool).place(organization, wait_s=wait_s), pool.acquire(timeout=CONNECT_S) as connection:
        POOL_WAIT_SECONDS.labels(name_of(pool)).observe(time.perf_counter() - began)
        yield connection


@asynccontextmanager
async def read_as(pool: Pool, organization: str, email: str, *, wait_s: float = WAIT_S) -> AsyncIterator[ReadSession]:
    """One snapshot for all reads of a request. Raises Unavailable, also for errors of reads inside the block."""
    is_broken = False
    with reaching_postgres(lambda: is_broken):
        async with AsyncExitStack() as held:
            session = ReadSession(*await begin_read(held, pool, organization, email, wait_s=wait_s), held.aclose)
            async with leaving_broken(session, held):
                yield session
            is_broken = session.is_broken


@asynccontextmanager
async def leaving_broken(session: ReadSession, held: AsyncExitStack) -> AsyncIterator[None]:
    """If the block fails with a broken session, ends `held` here: the error of its closed connection would replace that of
    the block."""
    try:
        yield
    except BaseException:
        if session.is_broken:
            with reaching_postgres(lambda: True):
                await held.aclose()
        raise


async def begin_read(
    held: AsyncExitStack, pool: Pool, organization: str, email: str, *, wait_s: float
) -> tuple[Connection, Organization]:
    """Begin the transaction of a ReadSession, which ends with `held`."""
    connection = await held.enter_async_context(connect_as(pool, organization, wait_s=wait_s))
    await held.enter_async_context(connection.transaction(isolation="repeatable_read", readonly=True))
    return connection, await act_for(connection, organization, email)


@asynccontextmanager
async def write_as(
    pool: Pool, organization: str, email: str = "", *, wait_s: float = WAIT_S
) -> AsyncIterator[WriteSession]:
    """One transaction for all changes of a request. Raises Unavailable."""
    with reaching_postgres():
        async with AsyncExitStack() as held:
            connection = await held.enter_async_context(connect_as(pool, organization, wait_s=wait_s))
            await held.enter_async_context(connection.transaction())
            yield WriteSession(connection, await act_for(connection, organization, email), held.aclose)


async def act_for(connection: Connection, organization: str, email: str) -> Organization:
    """Limit the transaction to this organization by row-level security. The first statement of it. Raises NotIsolated.

    `email` is the principal's.
    """
    row = await connection.fetchrow(SQL["select_organization"], organization, email)
    assert row is not None
    found = from_record(Organization, row)
    if not found.is_isolated:
        raise NotIsolated(NotIsolated.__doc__)
    return found


class LastAnswer:
    """When Postgres last answered a statement of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = float("-inf")

    def note(self) -> None:
        self._at = self._clock()

    def is_within(self, seconds: float) -> bool:
        return self._clock() - self._at <= seconds


def measure_statements(pool: str, answer: LastAnswer, traced: StatementListener | None) -> StatementListener:
    """An `on_statement` that observes the time of each statement of a pool, notes its answer, and then calls `traced`."""
    seconds = STATEMENT_SECONDS.labels(pool)

    def on_statement(ended: "asyncpg.connection.LoggedQuery") -> None:
        seconds.observe(ended.elapsed)
        if ended.exception is None:
            answer.note()
        if traced:
            traced(ended)

    return on_statement


async def ask_position(pool: Pool) -> int:
    """The server's position in its write-ahead log. Raises Unavailable and NotIsolated."""
    async with read_as(pool, "", "") as session:
        return session.organization.position


async def check_release(pool: Pool) -> None:
    """Raises SchemaTooOld if the server lacks a migration that this release needs. Raises Unavailable."""
    with reaching_postgres():
        async with connect_as(pool, "", wait_s=WAIT_S) as connection:
            await check_schema(connection, NEWEST_MIGRATION)


async def find_problem(pool: Pool) -> Unavailable | NotIsolated | SchemaTooOld | None:
    """Why Postgres cannot be used, for the readiness probe; None if it can. `pool` is separate, so busy pools do not count."""
    try:
        await check_release(pool)
        async with read_as(pool, "", ""):
            return None
    except (Unavailable, NotIsolated, SchemaTooOld) as error:
        return error
