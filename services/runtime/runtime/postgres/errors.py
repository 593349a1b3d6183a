"""Which failures of Postgres pass."""

import asyncpg

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
