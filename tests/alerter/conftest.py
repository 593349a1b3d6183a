"""The alerter's own database and role."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from alerter.db.pool import open_queues
from runtime.postgres.pool import Pool
from support.data.table_rows import TableRows
from support.infra.stack import Database


@pytest.fixture
async def owner(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection that bypasses row-level security."""
    connection = await asyncpg.connect(database.dsn, timeout=10)
    yield connection
    await connection.close()


@pytest.fixture
async def db(owner: "asyncpg.Connection[asyncpg.Record]") -> TableRows:
    return TableRows(owner)


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_queues(database.roles["flexcredits_alerter"]) as opened:
        yield opened
