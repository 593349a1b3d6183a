"""The connection pool for the queues."""

from contextlib import AbstractAsyncContextManager

from runtime.postgres.pool import Pool, StatementListener, open_pool


def open_queues(dsn: str, on_statement: StatementListener | None = None) -> AbstractAsyncContextManager[Pool]:
    """Connections for the queues. Prepared plans are not kept: the queues are usually empty, and a plan for an empty
    table reads all rows of a full one."""
    return open_pool(
        dsn, application="alerter", size=6, statement_timeout_s=20, on_statement=on_statement, keep_plans=False
    )
