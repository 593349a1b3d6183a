"""Classifies failures of Postgres: transient ones, lost connections and timeouts."""

import asyncpg

PASSING_STATES = {
    "25P03",  # the session idled too long in its transaction
    "25P04",  # the transaction took longer than the server allows
    "40001",  # serialization
    "40P01",  # deadlock
    "53300",  # too many connections
    "55P03",  # a lock was not granted in time
}

CONNECTION_STATES = (
    "cannot switch to",
    "cannot process message",
    "got result for unknown protocol state",
    "unknown error in protocol implementation",
    "waiter is not done",
    "_on_result: waiter is",
)
"""Beginnings of the message of an InternalClientError in asyncpg 0.32 for a connection that ended between two messages,
for example when a stopping server has announced it and has not closed the socket yet. All other messages (codecs,
defects) would come again."""


def transient_error_code(error: BaseException) -> str | None:
    """The SQLSTATE or class name of a failure after which the same transaction may be run again unchanged; else None.

    These are PASSING_STATES, lost or refused connections (08), and a server that stops or starts (57P0). A commit whose
    answer was lost is among them, so the transaction must be safe to repeat after it was committed.
    """
    # After a migration, when asyncpg has dropped its cache. Its SQLSTATE 0A000 alone means an unsupported feature.
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return str(error.sqlstate)
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate)
        return state if state in PASSING_STATES or state.startswith(("08", "57P0")) else None
    return type(error).__name__ if is_lost_connection(error) else None


def is_lost_connection(error: BaseException) -> bool:
    """Whether the client reports that the connection is lost, unusable, or was not established."""
    match error:
        # asyncpg's own DataError, for a value that cannot be encoded, is an InterfaceError too. It would fail every
        # time.
        case ValueError() | asyncpg.UnsupportedClientFeatureError() | asyncpg.UnsupportedServerFeatureError():
            return False
        case asyncpg.TargetServerAttributeNotMatched() | asyncpg.exceptions.OutdatedSchemaCacheError():
            return True  # during a failover, or after a migration, when asyncpg has dropped its cache
        case asyncpg.InternalClientError():
            return str(error).startswith(CONNECTION_STATES)
    return isinstance(error, OSError | asyncpg.InterfaceError | TimeoutError)


def timed_out(error: BaseException) -> bool:
    """Whether a statement timed out (57014). It may be faster next time, or for another organization."""
    return isinstance(error, asyncpg.QueryCanceledError)


def is_without_session(error: BaseException) -> bool:
    """Whether all sessions are used: Postgres refused another one, or PgBouncer had none within its `query_wait_timeout`."""
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return True
    return isinstance(error, asyncpg.PostgresConnectionError) and "query_wait_timeout" in str(error)
