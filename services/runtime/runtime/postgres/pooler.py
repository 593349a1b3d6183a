"""Connections through a pooler such as PgBouncer, where each transaction of a connection may run in another session.

Nothing then belongs to the session: settings are set together with BEGIN, and a statement outside a transaction gets one.
Decision 95.
"""

import secrets
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import structlog

if TYPE_CHECKING:  # asyncpg's classes are generic only for type checkers
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

log = structlog.get_logger()


class ThroughPooler(Exception):
    """Postgres is reached through a pooler by work that needs a session of its own, or by one that knows no transactions."""


class PooledConnection(Connection):
    """Applies `settings` to every transaction, in the message that begins it. A single statement gets a transaction."""

    settings = ""
    """Statements that follow BEGIN."""

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        if query.startswith("BEGIN"):
            return await super().execute(query + self.settings, *args, **options)
        async with self._in_transaction():
            return await super().execute(query, *args, **options)

    async def executemany(self, *args: Any, **options: Any) -> None:
        async with self._in_transaction():
            return await super().executemany(*args, **options)

    async def fetch(self, *args: Any, **options: Any) -> Any:
        async with self._in_transaction():
            return await super().fetch(*args, **options)

    async def fetchrow(self, *args: Any, **options: Any) -> Any:
        async with self._in_transaction():
            return await super().fetchrow(*args, **options)

    async def fetchval(self, *args: Any, **options: Any) -> Any:
        async with self._in_transaction():
            return await super().fetchval(*args, **options)

    async def copy_to_table(self, *args: Any, **options: Any) -> str:
        async with self._in_transaction():
            return await super().copy_to_table(*args, **options)

    async def copy_from_query(self, *args: Any, **options: Any) -> str:
        async with self._in_transaction():
            return await super().copy_from_query(*args, **options)

    def _in_transaction(self) -> AbstractAsyncContextManager[object]:
        return nullcontext() if self.is_in_transaction() else self.transaction()


class Path(NamedTuple):
    """How a connection reaches Postgres."""

    is_direct: bool
    keeps_statements: bool
    """Whether a prepared statement can be used in later transactions."""


class Connector:
    """Opens the connections of a pool with these settings: of the session, or through a pooler of each transaction."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = dict(settings)
        self._pooled: Path | None = None
        """How the pooler is, once one was met. Postgres itself works in the same way."""

    async def __call__(self, *args: Any, **options: Any) -> Connection:
        """As asyncpg.connect. Raises ThroughPooler if the pooler knows no transactions."""
        if self._pooled is None:
            try:
                connection: Connection = await asyncpg.connect(*args, **options, server_settings=self._settings)
            except asyncpg.ProtocolViolationError as error:
                if not _refuses_settings(error):
                    raise
            else:
                if (await _explore_or_close(connection)).is_direct:
                    return connection
                await connection.close()
        return await self._connect_pooled(*args, **options)

    async def _connect_pooled(self, *args: Any, **options: Any) -> Connection:
        options |= {"server_settings": {"application_name": self._settings["application_name"]}}
        if self._pooled is None:
            probe = await asyncpg.connect(*args, **options)
            path = await _explore_or_close(probe)
            await probe.close()
            self._pooled = path
            log.info("Postgres is reached through a pooler", keeps_prepared_statements=path.keeps_statements)
        if not self._pooled.keeps_statements:
            options["statement_cache_size"] = 0
        options["connection_class"] = PooledConnection
        connection: PooledConnection = await asyncpg.connect(*args, **options)
        connection.settings = "".join(
            f" SET LOCAL {name} = '{value}';" for name, value in self._settings.items() if name != "application_name"
        )
        return connection


async def connect_directly(dsn: str, settings: Mapping[str, str] | None = None) -> Connection:
    """A connection with a session of its own. Raises ThroughPooler, or the error of Postgres."""
    try:
        connection: Connection = await asyncpg.connect(dsn, timeout=10, server_settings=dict(settings or {}))
    except asyncpg.ProtocolViolationError as error:
        if not _refuses_settings(error):
            raise
        raise ThroughPooler(NEEDS_SESSION) from None
    if not (await _explore_or_close(connection)).is_direct:
        await connection.close()
        raise ThroughPooler(NEEDS_SESSION)
    return connection


NEEDS_SESSION = (
    "POSTGRES_DSN leads to a pooler, and this work holds a lock in a session of its own: set POSTGRES_DIRECT_DSN to the"
    " address of Postgres itself."
)


def _refuses_settings(error: asyncpg.PostgresError) -> bool:
    """PgBouncer refuses settings that it neither knows nor ignores."""
    return "startup parameter" in str(error)


async def _explore_or_close(connection: Connection) -> Path:
    try:
        return await _explore(connection)
    except BaseException:
        connection.terminate()
        raise


async def _explore(connection: Connection) -> Path:
    """A pooler answers the process id with a number of its own. It gives prepared statements names of its own, or does not
    know them: such a statement belongs to one of its sessions, and is removed before another client gets that session."""
    name = f"explore_{secrets.token_hex(8)}"
    try:
        async with connection.transaction():
            statement = await connection.prepare(
                "SELECT pg_backend_pid(), ARRAY(SELECT name FROM pg_prepared_statements)", name=name
            )
            [(process_id, names)] = await statement.fetch()
            if name in names:
                await connection.execute(f"DEALLOCATE {name}")
    except (asyncpg.ProtocolViolationError, asyncpg.ConnectionDoesNotExistError) as error:
        if "statement pooling" not in str(error):
            raise
        raise ThroughPooler(
            "POSTGRES_DSN leads to a pooler without transactions: set pool_mode = transaction."
        ) from None
    return Path(process_id == connection.get_server_pid(), name not in names)
