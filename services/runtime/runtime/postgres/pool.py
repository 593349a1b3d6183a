"""A pool of connections to Postgres."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from runtime.observability.tracing import Tracing
from runtime.postgres.line import Line

if TYPE_CHECKING:  # asyncpg's classes are generic only for type checkers
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Tell = Callable[[asyncpg.connection.LoggedQuery], None]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection
    Tell = Callable


class LinedPool(asyncpg.Pool):
    """A pool with a line before it, for those who take a place first; the others only wait for a connection."""

    line: Line


@asynccontextmanager
async def open_pool(
    dsn: str,
    *,
    application: str,
    size: int,
    statement_timeout_s: float,
    at_least: int = 1,
    tell: Tell | None = None,
    keep_plans: bool = True,
) -> AsyncIterator[Pool]:
    """A pool of up to `size` connections whose statements end after `statement_timeout_s` seconds.

    With `at_least` 0 it opens even while Postgres is down, and connects when it is first used. `tell` hears of every
    statement when it has ended. Without `keep_plans` every statement is planned when it runs, for the size that its tables
    have then: a plan that was made for an empty queue reads all of a full one.
    """  # fmt: skip
    settings = {
        "application_name": application,
        "search_path": "public",
        "statement_timeout": str(int(statement_timeout_s * 1000)),
        # A process that was frozen in a transaction keeps its locks no longer than this, and who waits for them gives
        # up sooner and tries again.
        "idle_in_transaction_session_timeout": "20000",
        "lock_timeout": str(int(statement_timeout_s * 250)),
        "jit": "off",  # compiling costs more than our short statements ever run
    }
    if not keep_plans:
        settings["plan_cache_mode"] = "force_custom_plan"

    async def listen(connection: Connection) -> None:
        if tell is not None:
            connection.add_query_logger(tell)

    opening = LinedPool(
        dsn, min_size=at_least, max_size=size, server_settings=settings, timeout=10, init=listen, reset=leave_as_it_is,
        # What asyncpg.create_pool gives by default.
        max_queries=50_000, max_inactive_connection_lifetime=300.0, loop=None,
        connection_class=asyncpg.Connection, record_class=asyncpg.Record,
    )  # fmt: skip
    opening.line = Line(size)
    async with opening as pool:
        yield pool


def line_of(pool: Pool) -> Line:
    """The line before a pool of `open_pool`: with a place in it, a free connection is there at once. Before others is none."""
    return pool.line if isinstance(pool, LinedPool) else Line(1)


async def leave_as_it_is(_connection: Connection) -> None:
    """What a transaction sets ends with it, and nothing else is ever set: a round trip would clean what is clean."""


def trace_statements(tracing: Tracing, statements: Mapping[str, str]) -> Tell | None:
    """For a pool: spans of statements by their names, of others by their first word, within whatever span goes on."""
    if not tracing.is_on:
        return None
    names = {text: name for name, text in statements.items()}

    def tell(ended: "asyncpg.connection.LoggedQuery") -> None:
        name = names.get(ended.query) or ended.query.split(maxsplit=1)[0].rstrip(";")
        tracing.past(name, "client", ended.elapsed, db__system__name="postgresql", db__query__summary=name)

    return tell
