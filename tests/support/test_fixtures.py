"""Tests of the shared fixtures."""

import re

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from flexcredits_cli.machine.state_folder import REPOSITORY
from support.infra.stack import Database, Topics
from support.infra.turns import LONG, SHARE_A_STACK

STARTS_A_SERVER = re.compile(
    r"\b(?:EmbeddedKafka|EmbeddedPostgres|open_broker|Broker|open_stage|standby|secured_kafka)\(|\brunning_stack\(home"
)
EMBEDDED = re.compile(r"pytest\.mark\.embedded\(")
OTHER_LANES = re.compile(r"pytest\.mark\.(?:faults|clients)\b")


async def connect(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(dsn, timeout=10)


@pytest.mark.parametrize("turn", [1, 2])
async def test_every_test_gets_an_empty_migrated_database(database: Database, turn: int) -> None:
    connection = await connect(database.dsn)
    try:
        assert await connection.fetchval("SELECT count(*) FROM schema_migrations") > 0
        assert await connection.fetchval("SELECT to_regclass('left_over')") is None
        await connection.execute("CREATE TABLE left_over ()")
    finally:
        await connection.close()


async def test_service_roles_log_in_as_themselves(database: Database) -> None:
    assert {"flexcredits_ingest", "flexcredits_aggregator", "flexcredits_api"} <= set(database.roles)
    for role, dsn in database.roles.items():
        connection = await connect(dsn)
        try:
            assert await connection.fetchval("SELECT current_user") == role
        finally:
            await connection.close()


@pytest.mark.parametrize("turn", [1, 2])
async def test_every_test_gets_empty_topics(topics: Topics, turn: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=topics.bootstrap, acks="all")
    await producer.start()
    try:
        record = await producer.send_and_wait(topics.usage_events, b"event", partition=0)
    finally:
        await producer.stop()
    assert record.offset == 0

    consumer = AIOKafkaConsumer(topics.usage_events, bootstrap_servers=topics.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        assert (await consumer.getone()).value == b"event"
    finally:
        await consumer.stop()


def test_the_files_that_begin_first_exist() -> None:
    assert [unit for unit in {*LONG, *SHARE_A_STACK} if not (REPOSITORY / unit).exists()] == []


def test_tests_that_start_their_own_server_say_why_it_is_no_container() -> None:
    """And the documents list them: `--containers` skips them."""
    page = (REPOSITORY / "docs/testing.md").read_text()
    texts = {
        path.relative_to(REPOSITORY).as_posix(): path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py")
    }
    starting = {path for path, text in texts.items() if STARTS_A_SERVER.search(text) and not OTHER_LANES.search(text)}
    marked = {path for path, text in texts.items() if EMBEDDED.search(text)}
    assert starting - marked == set()
    assert {path for path in marked if f"`{path}`" not in page} == set()
