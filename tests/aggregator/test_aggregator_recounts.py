"""Aggregators on real Kafka that are killed, run twice, paused, or read the log again. Totals must not change."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from runtime.kafka.clients import open_producer
from support.infra.service_process import aggregator_environment, eventually, running
from support.infra.stack import Database, Topics
from support.services.aggregator_process import applied, check_totals, many, send, send_catalog_events, until_applied

EVENTS = 20_000


@pytest.fixture
async def producer(topics: Topics) -> AsyncIterator[AIOKafkaProducer]:
    async with open_producer(topics.bootstrap, "test") as open_:
        yield open_


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


@pytest.mark.slow
async def test_ten_kills_while_it_works_change_no_total(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    await send_catalog_events(producer, topics)
    events, total = many(EVENTS)
    chance = random.Random(2)
    environment = aggregator_environment(database, topics, BATCH_EVENTS_MAX="300", CONSUMER_INSTANCE="one")
    kills = 0
    sending = asyncio.create_task(send(producer, topics.usage_events, events))
    while kills < 10:
        before = await applied(owner, topics)
        with running("aggregator", environment) as process:

            async def progressed(before: int = before) -> bool:
                return await applied(owner, topics) > before

            await eventually(progressed, within_s=30, what="progress after a kill")
            await asyncio.sleep(chance.random() * 0.1)
            process.kill()
            kills += 1
            assert await applied(owner, topics) < len(events), (
                "finished before the last kill, so the test shows nothing"
            )
    await sending
    with running("aggregator", environment):
        await until_applied(owner, topics, len(events))
    await check_totals(owner, total)


@pytest.mark.slow
async def test_two_aggregators_with_moving_partitions_change_no_total(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    await send_catalog_events(producer, topics)
    events, total = many(EVENTS, seed=3)
    environment = aggregator_environment(database, topics, BATCH_EVENTS_MAX="200")
    sending = asyncio.create_task(send(producer, topics.usage_events, events))
    with running("aggregator", environment) as first:
        await eventually(first.ready)
        with running("aggregator", environment) as second:
            await eventually(second.ready, within_s=40)
            first.send(signal.SIGSTOP)  # a zombie: it keeps its partitions and continues with old batches
            await asyncio.sleep(2)
            first.send(signal.SIGCONT)
            second.kill()
        with running("aggregator", environment) as third:
            await eventually(third.ready, within_s=40)
            first.send(signal.SIGTERM)
            assert first.wait(30) == 0
            await sending
            await until_applied(owner, topics, len(events))
    await check_totals(owner, total)


@pytest.mark.slow
async def test_groups_offsets_in_kafka_mean_nothing(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    await send_catalog_events(producer, topics)
    first, first_total = many(400, seed=4)
    await send(producer, topics.usage_events, first)
    environment = aggregator_environment(database, topics)
    with running("aggregator", environment) as process:
        await until_applied(owner, topics, len(first))
        process.send(signal.SIGTERM)
        process.wait()
    second, second_total = many(400, seed=5)
    await send(producer, topics.usage_events, second)
    partitions = [TopicPartition(topics.usage_events, number) for number in range(4)]
    for offset in (0, 200):  # behind: all records again; ahead: all records skipped
        await set_group_offsets(topics, dict.fromkeys(partitions, offset))
        with running("aggregator", environment) as process:
            await until_applied(owner, topics, len(first) + len(second))
            process.send(signal.SIGTERM)
            process.wait()
        await check_totals(owner, first_total + second_total)


@pytest.mark.slow
async def test_replaying_the_topic_from_offset_0_counts_only_duplicates(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    await send_catalog_events(producer, topics)
    events, total = many(600, seed=8)
    await send(producer, topics.usage_events, events)
    environment = aggregator_environment(database, topics, CONSUMER_INSTANCE="one")
    with running("aggregator", environment):
        await until_applied(owner, topics, len(events))
    await owner.execute(
        "UPDATE partition_progress SET next_offset = 0, counted = 0, duplicate = 0 WHERE topic = $1",
        topics.usage_events,
    )
    with running("aggregator", environment):
        await until_applied(owner, topics, len(events))
    await check_totals(owner, total)
    row = await owner.fetchrow(
        "SELECT sum(counted) AS counted, sum(duplicate) AS duplicate FROM partition_progress WHERE topic = $1",
        topics.usage_events,
    )
    assert row is not None
    assert (row["counted"], row["duplicate"]) == (0, len(events))


async def set_group_offsets(topics: Topics, offsets: dict[TopicPartition, int]) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=topics.bootstrap, group_id=topics.usage_events, enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign(list(offsets))
    await consumer.commit(offsets)
    await consumer.stop()


@pytest.mark.slow
async def test_a_new_database_is_rebuilt_from_the_topic_to_the_same_tables(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    await send(producer, topics.usage_events, many(300, seed=6)[0])  # held until the catalog events arrive
    environment = aggregator_environment(database, topics)
    tables = {
        "usage_15m": "SELECT bucket_at, product, feature, sum(credits)::bigint, sum(events)::bigint"
        " FROM usage_15m JOIN usage_series USING (series_id) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        "usage_ledger": "SELECT identity, credits, held, kafka_partition, kafka_offset, run FROM usage_ledger ORDER BY 1",
        "usage_attributed_daily": "SELECT day, actor_id, group_id, labels, sum(credits)::bigint, sum(events)::bigint"
        " FROM usage_attributed_daily JOIN usage_attributions USING (attribution_id) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        "usage_runs": "SELECT * FROM usage_runs ORDER BY run",
    }

    async def dump() -> dict[str, list[tuple[Any, ...]]]:
        return {name: [tuple(row) for row in await owner.fetch(query)] for name, query in tables.items()}

    with running("aggregator", environment):
        await until_applied(owner, topics, 300)
        assert await owner.fetchval("SELECT count(*) FROM usage_held") > 0
        await send_catalog_events(producer, topics)

        async def released() -> bool:
            return bool(await owner.fetchval("SELECT count(*) FROM usage_held") == 0)

        await eventually(released, what="held usage released")
    before = await dump()
    await owner.execute(
        "TRUNCATE usage_ledger, usage_held, usage_15m, usage_daily, usage_monthly, usage_corrections, usage_late,"
        " usage_organization_daily, usage_organization_monthly, usage_attributed_daily,"
        " usage_attributed_monthly, usage_runs, partition_progress, partition_hours, partition_ends,"
        " totals_outbox"
    )
    with running("aggregator", environment):
        await until_applied(owner, topics, 300)
        await eventually(released, what="held usage released")
        assert await dump() == before
