"""Connection pools for Postgres."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from runtime.observability.tracing import Tracing
from runtime.postgres.line import Line
from runtime.postgres.pooler import Connector

if TYPE_CHECKING:  # asyncpg's classes are generic only for type checkers
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    StatementListener = Callable[[asyncpg.connection.LoggedQuery], None]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection
    StatementListener = Callable


class LinedPool(asyncpg.Pool):
    """A pool with a fair queue before it. Requests that skip the queue only wait for a connection."""

    line: Line
    application: str


@asynccontextmanager
async def open_pool(
    dsn: str,
    *,
    application: str,
    size: int,
    statement_timeout_s: float,
    at_least: int = 1,
    on_statement: StatementListener | None = None,
    keep_plans: bool = True,
) -> AsyncIterator[Pool]:
    """A pool of up to `size` connections, with a statement timeout of `statement_timeout_s` seconds.

    With `at_least` 0 it opens even while Postgres is unavailable, and connects at the first use. `on_statement` is called for
    each statement that has ended. Without `keep_plans` every statement is planned at each run, for the present size of
    its tables: a plan that was made for an empty queue would scan all of a full one. Through a pooler, all this holds for each
    transaction instead of the session.
    """  # fmt: skip
    settings = {
        "application_name": application,
        "search_path": "public",
        "statement_timeout": str(int(statement_timeout_s * 1000)),
        # A process that is frozen in a transaction keeps its locks no longer than this. Transactions that wait for them
        # time out sooner and are retried.
        "idle_in_transaction_session_timeout": "20000",
        "lock_timeout": str(int(statement_timeout_s * 250)),
        "jit": "off",  # compilation costs more than the run of any of our short statements
    }
    if not keep_plans:
        settings["plan_cache_mode"] = "force_custom_plan"

    async def listen(connection: Connection) -> None:
        if on_statement is not None:
            connection.add_query_logger(on_statement)

    opening = LinedPool(
        dsn, min_size=at_least, max_size=size, connect=Connector(settings), timeout=10, init=listen, reset=leave_as_it_is,
        # The defaults of asyncpg.create_pool.
        max_queries=50_000, max_inactive_connection_lifetime=300.0, loop=None,
        connection_class=asyncpg.Connection, record_class=asyncpg.Record,
    )  # fmt: skip
    opening.line, opening.application = Line(size), application
    async with opening as pool:
        yield pool


def line_of(pool: Pool) -> Line:
    """The queue before a pool of `open_pool`: with a place in it, a free connection is available at once. Other pools
    have no queue."""
    return pool.line if isinstance(pool, LinedPool) else Line(1)


def name_of(pool: Pool) -> str:
    """The application name of a pool of `open_pool`, for metrics; empty for other pools."""
    return pool.application if isinstance(pool, LinedPool) else ""


async def leave_as_it_is(_connection: Connection) -> None:
    """Skip the reset of a released connection, which would cost a round trip: all settings of our transactions end with
    them. A pooler's session would not be reset anyway."""


def trace_statements(tracing: Tracing, statements: Mapping[str, str]) -> StatementListener | None:
    """A `on_statement` for open_pool that records a span for each statement, under its name or else its first word, within the
    present span."""
    if not tracing.is_on:
        return None
    names = {text: name for name, text in statements.items()}

    def on_statement(ended: "asyncpg.connection.LoggedQuery") -> None:
        name = names.get(ended.query) or ended.query.split(maxsplit=1)[0].rstrip(";")
        tracing.past(name, "client", ended.elapsed, db__system__name="postgresql", db__query__summary=name)

    return on_statement
