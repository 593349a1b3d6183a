"""One ingest service in its own process, shared by tests that do not change its state."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
from flexcredits_cli.stack.api_keys import create_key
from support.infra import stack as real
from support.infra.service_process import eventually, running
from support.infra.stack import Database, Topics
from support.services.ingest import Ingest, environment, running_here


@pytest.fixture(scope="session")
def shared_database(postgres_dsn: str, database_template: str) -> Iterator[Database]:
    copy = asyncio.run(real.copy_template(postgres_dsn, database_template))
    yield copy
    asyncio.run(real.drop_database(postgres_dsn, urlsplit(copy.dsn).path.strip("/")))


@pytest.fixture(scope="session")
def shared(kafka_bootstrap: str, shared_database: Database) -> Iterator[Ingest]:
    """A ready service with default settings, except the environment's name."""
    topics = asyncio.run(real.make_topics(kafka_bootstrap))
    given = environment(shared_database.roles["flexcredits_ingest"], topics, flexcredits_env="test")
    key = asyncio.run(create_key(shared_database.dsn, "*", "*", "test"))
    with running("ingest", given) as process:
        asyncio.run(eventually(process.ready, what="readiness"))
        url = f"http://127.0.0.1:{given['HTTP_PORT']}"
        yield Ingest(url, f"http://127.0.0.1:{process.probe_port}", topics, key)
    asyncio.run(real.delete_topics(topics))


@pytest.fixture
async def key(database: Database) -> str:
    """A key for all organizations and products."""
    return await create_key(database.dsn, "*", "*")


@pytest.fixture
async def ingest(database: Database, topics: Topics, key: str) -> AsyncIterator[Ingest]:
    """A service with its own topics, for tests that count their records."""
    async with running_here(database, topics, key) as here:
        yield here
