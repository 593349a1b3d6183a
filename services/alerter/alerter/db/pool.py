"""The pool of the queues."""

from contextlib import AbstractAsyncContextManager

from runtime.postgres.pool import Pool, Tell, open_pool


def open_queues(dsn: str, tell: Tell | None = None) -> AbstractAsyncContextManager[Pool]:
    """Connections for the queues. These are empty at most times, and a plan for an empty table reads all of a full one, so
    none is kept."""
    return open_pool(dsn, application="alerter", size=6, statement_timeout_s=20, tell=tell, keep_plans=False)
