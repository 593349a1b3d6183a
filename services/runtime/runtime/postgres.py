"""Postgres: a pool, statements that live in .sql files, and which failures pass."""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from runtime.line import Line
from runtime.tracing import Tracing

if TYPE_CHECKING:  # asyncpg's classes are generic only for type checkers
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Tell = Callable[[asyncpg.connection.LoggedQuery], None]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection
    Tell = Callable

RowT = TypeVar("RowT", bound=tuple[Any, ...])


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


def from_record(kind: Callable[..., RowT], record: Any) -> RowT:
    """A NamedTuple from an `asyncpg.Record`, or another mapping, by name: the order of the columns does not matter.

    TypeError where columns and fields are not the same, fields with a default included.
    """
    row = kind(**record)
    if len(row) != len(record):
        raise TypeError(f"{row} has more fields than the columns {(*record.keys(),)}")
    return row


def load_sql(package: str) -> dict[str, str]:
    """Statements by name, of every .sql file in `package` and its folders.

    A file holds blocks that begin with a line `-- name: statement_name`; what stands before the first of them speaks
    of the file. A file without such a line is one statement, under the file's name. ValueError if a name stands twice.
    """
    statements: dict[str, str] = {}
    places: dict[str, str] = {}
    for path, text in sorted(find_sql(files(package), package)):
        for name, statement in split_statements(path, text):
            if name in statements:
                raise ValueError(f"the statement {name} stands in {places[name]} and in {path}")
            statements[name], places[name] = statement, path
    return statements


def find_sql(folder: Traversable, path: str) -> Iterator[tuple[str, str]]:
    """Path and text of each .sql file, at any depth."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from find_sql(entry, f"{path}/{entry.name}")
        elif entry.name.endswith(".sql"):
            yield f"{path}/{entry.name}", entry.read_text(encoding="utf-8")


def split_statements(path: str, text: str) -> Iterator[tuple[str, str]]:
    """Name and text of each statement of a file. ValueError if a name is none or has no statement."""
    _, *blocks = re.split(r"^-- name:", text, flags=re.MULTILINE)
    if not blocks:
        yield path.rpartition("/")[2].removesuffix(".sql"), text
    for block in blocks:
        name, _, statement = block.partition("\n")
        if not name.strip().isidentifier() or not statement.strip():
            raise ValueError(f"{path} names no statement in: -- name:{name}")
        yield name.strip(), statement.strip() + "\n"


PASSING_STATES = {
    "25P03",  # the session idled too long in its transaction
    "25P04",  # the transaction took longer than the server allows
    "40001",  # serialization
    "40P01",  # deadlock
    "53300",  # too many connections
    "55P03",  # a lock was not given in time
}

CONNECTION_STATES = (
    "cannot switch to",
    "cannot process message",
    "got result for unknown protocol state",
    "unknown error in protocol implementation",
    "waiter is not done",
    "_on_result: waiter is",
)
"""How asyncpg 0.32 begins an InternalClientError about a connection that ended between two messages, for example when
a server that stops has already said so and has not closed the socket yet. All others (codecs, defects) would come again."""


def passing_failure(error: BaseException) -> str | None:
    """SQLSTATE, or class name, of a failure after which the same transaction may be run again as it is; else None.

    Beside PASSING_STATES lost or refused connections (08), and a server that stops or starts (57P0). A commit whose
    answer was lost is among them, so what is run again must be safe to have happened already.
    """
    # After a migration, when asyncpg has dropped its cache. Its 0A000 alone means what Postgres cannot do.
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return str(error.sqlstate)
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate)
        return state if state in PASSING_STATES or state.startswith(("08", "57P0")) else None
    return type(error).__name__ if is_lost_connection(error) else None


def is_lost_connection(error: BaseException) -> bool:
    """Whether the client's side says that the connection is gone, unusable, or was not made."""
    match error:
        # asyncpg's own DataError, a value that cannot be encoded, is an InterfaceError too, and would fail every time.
        case ValueError() | asyncpg.UnsupportedClientFeatureError() | asyncpg.UnsupportedServerFeatureError():
            return False
        case asyncpg.TargetServerAttributeNotMatched() | asyncpg.exceptions.OutdatedSchemaCacheError():
            return True  # during a failover; after a migration, and asyncpg has dropped its cache
        case asyncpg.InternalClientError():
            return str(error).startswith(CONNECTION_STATES)
    return isinstance(error, OSError | asyncpg.InterfaceError | TimeoutError)


def timed_out(error: BaseException) -> bool:
    """Whether a statement was cancelled for its time (57014). It may be shorter next time, or for another organization."""
    return isinstance(error, asyncpg.QueryCanceledError)
