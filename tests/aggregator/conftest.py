"""The aggregator without Kafka, and the owner of its tables."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from support.infra.stack import Database
from support.services.aggregator import Aggregator


@pytest.fixture
async def aggregator(database: Database) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        yield Aggregator(pool)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()
