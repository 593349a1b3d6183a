"""Postgres: a pool, statements that live in .sql files, and which failures pass."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import TYPE_CHECKING

import asyncpg

from runtime.tracing import Tracing

if TYPE_CHECKING:  # asyncpg's classes are generic only for type checkers
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Tell = Callable[[asyncpg.connection.LoggedQuery], None]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection
    Tell = Callable


@asynccontextmanager
async def open_pool(
    dsn: str, *, application: str, size: int, statement_timeout_s: float, at_least: int = 1, tell: Tell | None = None
) -> AsyncIterator[Pool]:
    """A pool of up to `size` connections whose statements end after `statement_timeout_s` seconds.

    With `at_least` 0 it opens even while Postgres is down, and connects when it is first used. `tell` hears of every
    statement when it has ended.
    """
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

    async def listen(connection: Connection) -> None:
        if tell is not None:
            connection.add_query_logger(tell)

    async with asyncpg.create_pool(
        dsn, min_size=at_least, max_size=size, server_settings=settings, timeout=10, init=listen, reset=leave_as_it_is
    ) as pool:
        yield pool


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


def load_sql(package: str) -> dict[str, str]:
    """Statements of `package`'s sql folder by file name without .sql."""
    folder = files(package) / "sql"
    return {
        entry.name.removesuffix(".sql"): entry.read_text() for entry in folder.iterdir() if entry.name.endswith(".sql")
    }


PASSING_STATES = {
    "25P03",  # the session idled too long in its transaction
    "40001",  # serialization
    "40P01",  # deadlock
    "53300",  # too many connections
    "55P03",  # a lock was not given in time
}


def passing_failure(error: Exception) -> str | None:
    """SQLSTATE, or class name, of a failure after which the same transaction may be run again as it is; else None.

    Beside PASSING_STATES lost or refused connections (08), and a server that stops or starts (57P0). A commit whose
    answer was lost is among them, so what is run again must be safe to have happened already.
    """
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate)
        return state if state in PASSING_STATES or state.startswith(("08", "57P0")) else None
    # asyncpg's own DataError, a value that cannot be encoded, is an InterfaceError too, and would fail for ever.
    if isinstance(error, OSError | asyncpg.InterfaceError | TimeoutError) and not isinstance(error, ValueError):
        return type(error).__name__
    return None
