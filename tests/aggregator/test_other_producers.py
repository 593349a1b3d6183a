"""Records of other producers: transactions, committed and aborted, headers of any bytes, and a topic restored from a
copy."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from aggregator.domain.decode import empty_batch, read, traceparents
from aggregator.topic_settings import find_compacted
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from runtime.kafka.clients import open_producer
from support.data.factories import FakeRecord, organization, rate, usage, uuid7
from support.data.header_names import READ_NAME, send_with_odd_header
from support.infra.mirroring import switch
from support.infra.service_process import aggregator_environment, eventually, running
from support.infra.stack import Database, Topics
from support.services.aggregator import TOTALS


@pytest.fixture
async def owner(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


@asynccontextmanager
async def transactional(topics: Topics) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=topics.bootstrap, transactional_id=uuid7(), acks="all")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(producer: AIOKafkaProducer, topic: str, events: Sequence[dict[str, Any]], partition: int = 0) -> None:
    sent = [await producer.send(topic, json.dumps(at).encode(), key=b"k", partition=partition) for at in events]
    await asyncio.gather(*sent)


async def until(owner: "asyncpg.Connection[asyncpg.Record]", query: str, expected: object, *args: object) -> None:
    async def is_so() -> bool:
        return bool(await owner.fetchval(query, *args) == expected)

    await eventually(is_so, within_s=30, what=f"{query} = {expected}")


COUNTED = "SELECT coalesce(sum(credits), 0)::bigint FROM usage_daily"
IS_APPLIED = (
    "SELECT bool_and(next_offset = end_offset AND complete_to >= end_seen_at)"
    " FROM partition_progress JOIN partition_ends USING (topic, partition) WHERE topic = $1"
)
COMPLETE_TO = (
    "SELECT min(greatest(caught_up_at, complete_to))"
    " FROM partition_progress JOIN partition_ends USING (topic, partition) WHERE topic = $1"
)


async def move_on(owner: "asyncpg.Connection[asyncpg.Record]", topic: str) -> None:
    """Totals become complete to a later instant."""
    before = await owner.fetchval(COMPLETE_TO, topic)

    async def has_moved() -> bool:
        after = await owner.fetchval(COMPLETE_TO, topic)
        return after is not None and (before is None or after > before)

    await eventually(has_moved, within_s=15, what="complete_to moving on")


async def test_transactions_are_counted_when_and_if_they_are_committed(
    database: Database, topics: Topics, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    environment = aggregator_environment(database, topics)
    async with open_producer(topics.bootstrap, "plain") as plain, transactional(topics) as producer:
        async with producer.transaction():
            await send(producer, topics.catalog, [organization()])
        await producer.begin_transaction()
        await send(producer, topics.catalog, [organization(time_zone="Asia/Kathmandu")])
        await producer.abort_transaction()
        with running("aggregator", environment) as process:
            async with producer.transaction():
                await send(producer, topics.usage_events, [usage(), usage()])
                await send(producer, topics.usage_events, [usage()], partition=1)
            await until(owner, COUNTED, 3_000_000)
            await producer.begin_transaction()
            await send(producer, topics.usage_events, [usage(credits="100")])
            await producer.abort_transaction()
            await send(plain, topics.usage_events, [usage()])
            await until(owner, COUNTED, 4_000_000)
            # The log ends with a marker: complete, and no reason to stop or restart.
            async with producer.transaction():
                await send(producer, topics.usage_events, [usage()])
                await send(producer, topics.catalog, [rate()])
            await until(owner, COUNTED, 5_000_000)
            await move_on(owner, topics.usage_events)
            process.send(signal.SIGTERM)
            assert process.wait() == 0
        with running("aggregator", environment) as process:
            await move_on(owner, topics.usage_events)
            # An open transaction is not counted, and totals are not complete behind it.
            await producer.begin_transaction()
            await send(producer, topics.usage_events, [usage()])
            await send(plain, topics.usage_events, [usage()])
            await until(
                owner,
                "SELECT end_offset - next_offset FROM partition_progress JOIN partition_ends USING (topic, partition)"
                " WHERE topic = $1 AND partition = 0",
                2,
                topics.usage_events,
            )
            assert await owner.fetchval(COUNTED) == 5_000_000
            assert not await owner.fetchval(IS_APPLIED, topics.usage_events)
            await producer.commit_transaction()
            await until(owner, COUNTED, 7_000_000)
            await until(owner, IS_APPLIED, True, topics.usage_events)
            assert process.exit_code is None
        row = await owner.fetchrow(
            "SELECT sum(counted)::int AS counted, sum(skipped)::int AS skipped, sum(rejected)::int AS rejected"
            " FROM partition_progress WHERE topic = $1",
            topics.usage_events,
        )
        assert row is not None
        assert (row["counted"], row["rejected"]) == (7, 0)
        assert row["skipped"] == 6, "five markers and the aborted record"
        assert await owner.fetchval("SELECT time_zone FROM organizations WHERE organization = 'org_acme'") == "UTC"
        assert await owner.fetchval("SELECT count(*) FROM rates") == 1


async def test_a_header_name_that_is_not_utf_8_stops_no_partition(
    database: Database, topics: Topics, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """The record is counted, applied or rejected by its value, as are all that follow it."""
    odd = [json.dumps(usage()).encode(), b"{"]
    async with open_producer(topics.bootstrap, "test") as producer:
        await send_with_odd_header(topics.bootstrap, topics.catalog, [json.dumps(organization()).encode()])
        await send_with_odd_header(topics.bootstrap, topics.usage_events, odd)
        await send(producer, topics.usage_events, [usage(), usage()])
        with running("aggregator", aggregator_environment(database, topics)) as process:
            await until(owner, COUNTED, 3_000_000)
            assert process.exit_code is None
    kept = json.loads(await owner.fetchval("SELECT headers FROM dead_letter_outbox"))
    assert kept == [["a", b"1".hex()], [READ_NAME, b"2".hex()]]


def test_a_traceparent_without_a_value_is_ignored() -> None:
    batch = empty_batch()
    value, headers = json.dumps(usage()).encode(), [("traceparent", None), ("traceparent", b"00-1")]
    read([FakeRecord(value, 0, headers=headers)], batch)
    assert traceparents(batch, 32) == ["00-1"]


async def test_a_topic_restored_from_a_copy_counts_nothing_twice(
    database: Database, topics: Topics, owner: "asyncpg.Connection[asyncpg.Record]", expected_errors: list[str]
) -> None:
    """A program produces the records again at other offsets. tests/faults/test_mirrored_logs.py uses Apache's tools."""
    expected_errors.append("aiokafka")
    environment = aggregator_environment(database, topics)
    async with open_producer(topics.bootstrap, "test") as producer:
        await send(producer, topics.catalog, [organization()])
        await producer.send_and_wait(topics.usage_events, b"{", partition=0)
        for partition in range(4):
            await send(producer, topics.usage_events, [usage() for _ in range(25)], partition=partition)
        with running("aggregator", environment):
            await until(owner, COUNTED, 100_000_000)
        copy = await read_all(topics)
        await make_again(topics)
        await producer.send_and_wait(topics.usage_events, b"{", partition=0)  # where the old log's dead letter was
        for number, (_, value) in enumerate(reversed(copy)):
            await producer.send_and_wait(topics.usage_events, value, key=b"k", partition=number % 3)
        await send(producer, topics.usage_events, [usage()], partition=3)
        with running("aggregator", environment) as process:
            await eventually(lambda: process.exit_code is not None, what="the aggregator's end")
            assert "was re-created" in process.log
        await owner.execute(switch(topics, catalog=False))
        with running("aggregator", environment):
            await until(owner, COUNTED, 101_000_000)
            for table in TOTALS:
                assert await owner.fetchval(f"SELECT sum(credits)::bigint FROM {table}") == 101_000_000
        duplicate = "SELECT sum(duplicate)::int FROM partition_progress WHERE topic = $1"
        assert await owner.fetchval(duplicate, topics.usage_events) == 100
        assert await owner.fetchval("SELECT count(*) FROM dead_letter_outbox") == 3


async def read_all(topics: Topics) -> list[tuple[int, bytes]]:
    consumer = AIOKafkaConsumer(
        topics.usage_events, bootstrap_servers=topics.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    found: list[tuple[int, bytes]] = []
    try:
        async with asyncio.timeout(20):
            while len(found) < 101:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += [(record.partition, record.value or b"") for record in records]
    finally:
        await consumer.stop()
    return found


async def make_again(topics: Topics) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topics.usage_events])

        async def is_gone() -> bool:
            return topics.usage_events not in await admin.list_topics()

        await eventually(is_gone, what="the topic's end")
        made = NewTopic(topics.usage_events, 4, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})
        await admin.create_topics([made])
    finally:
        await admin.close()


async def test_a_compacted_topic_is_reported_at_start(topics: Topics) -> None:
    assert await find_compacted(topics.bootstrap, (topics.usage_events, topics.catalog)) == []
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    try:
        policy = ConfigResource(ConfigResourceType.TOPIC, topics.catalog, {"cleanup.policy": "compact,delete"})
        await admin.alter_configs([policy])
    finally:
        await admin.close()

    async def is_found() -> bool:
        return await find_compacted(topics.bootstrap, (topics.usage_events, topics.catalog)) == [topics.catalog]

    await eventually(is_found, within_s=10, what="the changed policy")
