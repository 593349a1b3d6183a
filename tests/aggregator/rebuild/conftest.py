"""A running aggregator, its topics' producer, and the owner of its tables."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from runtime.kafka.clients import open_producer
from support.infra.service_process import aggregator_environment, eventually, running
from support.infra.stack import Database, Topics


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def producer(topics: Topics) -> AsyncIterator[AIOKafkaProducer]:
    async with open_producer(topics.bootstrap, "test") as open_:
        yield open_


@pytest.fixture
async def aggregator(database: Database, topics: Topics) -> AsyncIterator[None]:
    limits = {"ATTRIBUTIONS_PER_MONTH": "4", "SERIES_PER_MONTH": "0"}  # below those of the logs
    environment = aggregator_environment(database, topics, **limits)
    with running("aggregator", environment) as process:
        await eventually(process.ready, what="aggregator ready")
        yield
