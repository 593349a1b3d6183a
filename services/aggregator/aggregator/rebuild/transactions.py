"""Transactions of a rebuild: of all organizations together, or apart if the data of one makes that fail."""

from collections.abc import Awaitable, Callable, Mapping

import asyncpg
from runtime.isolation import describe_failure, is_data_failure
from runtime.postgres.pool import Connection

from aggregator.db.catalog_cache import StaleCatalog

ATTEMPTS = 5


async def in_transaction(connection: Connection, work: Callable[[], Awaitable[None]]) -> None:
    """Run the work in a transaction, again after a deadlock or a lock timeout."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with connection.transaction():
                await work()
            return
        except (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError, StaleCatalog):
            if attempt == ATTEMPTS:
                raise


async def apart_if_needed(
    together: Callable[[], Awaitable[None]], apart: Mapping[int, Callable[[], Awaitable[None]]], failed: dict[int, str]
) -> None:
    """Run the work of all organizations together, or apart if data of one makes that fail. Adds those that fail to `failed`."""
    try:
        await together()
    except Exception as error:
        if not is_data_failure(error):
            raise
        for number, work in apart.items():
            try:
                await work()
            except Exception as its:
                if not is_data_failure(its):
                    raise
                failed[number] = describe_failure(its)
