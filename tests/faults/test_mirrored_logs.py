"""Topics copied by Apache's own tools: a move to another Kafka, and a lost topic that is restored. Needs --clients: the tools are downloaded.

Every step is the one of docs/runbooks.md, whose settings and statements are read from there.
"""

import asyncio
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from runtime.kafka.clients import create_topics, open_producer
from support.data.factories import correction, organization, rate, usage, uuid7
from support.infra.brokers import AIOKAFKA_ERRORS, open_broker
from support.infra.mirroring import Tools, delete_topic, documented, read_log, set_topic, switch
from support.infra.service_process import ServiceProcess, aggregator_environment, eventually, running
from support.infra.stack import SCHEMAS, Database, Topics
from support.services.aggregator import TOTALS

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(400)]
HEADERS = [("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
NAMES = ("usage.events.v1", "usage.catalog.v1", "usage.totals.v1", "usage.events.v1.dlq", "usage.alerts.v1")
IMAGES = {"quantity": "5", "unit": "images", "feature_kind": "model", "feature": "painter"}
CREDIT = 1_000_000


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    return Tools(tmp_path_factory.mktemp("kafka-tools"))


class Tables:
    """Queries Postgres as the owner of its tables."""

    def __init__(self, database: Database) -> None:
        self._dsn = database.dsn

    async def ask(self, query: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(self._dsn)
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def execute(self, statements: str) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    async def until(self, query: str, expected: object, *arguments: object) -> None:
        async def is_so() -> bool:
            return bool(await self.ask(query, *arguments) == expected)

        await eventually(is_so, within_s=40, what=f"{query} = {expected}")

    async def until_counted(self, topic: str, credits: int) -> None:
        """Wait until the whole log is applied, and check that every table has `credits`."""
        await self.until("SELECT coalesce(sum(credits), 0)::bigint FROM usage_daily", credits * CREDIT)
        await self.until(
            "SELECT bool_and(next_offset = end_offset) FROM partition_progress JOIN partition_ends USING (topic, partition) WHERE topic = $1",
            True,
            topic,
        )
        for table in TOTALS:
            held = "WHERE NOT held" if table == "usage_ledger" else ""
            assert await self.ask(f"SELECT sum(credits)::bigint FROM {table} {held}") == credits * CREDIT, table

    async def dispositions(self, topic: str) -> tuple[int, ...]:
        """Counted, duplicate, rejected and held records of a topic's current log."""
        query = "SELECT array[sum(counted), sum(duplicate), sum(rejected), sum(held)]::int[] FROM partition_progress WHERE topic = $1"
        return tuple(await self.ask(query, topic))


async def send(
    producer: AIOKafkaProducer, topic: str, events: Sequence[dict[str, Any] | bytes], partition: int
) -> None:
    values = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    sent = [
        await producer.send(topic, value, key=b"org_acme|%d" % partition, partition=partition, headers=HEADERS)
        for value in values
    ]
    await asyncio.gather(*sent)


async def transact(bootstrap: str, topic: str, events: Sequence[dict[str, Any]], *, commit: bool = True) -> None:
    """Write events in a transaction, whose marker takes an offset."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=uuid7(), acks="all")
    await producer.start()
    try:
        await producer.begin_transaction()
        await send(producer, topic, events, 0)
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()


async def check_halts(environment: dict[str, str]) -> str:
    """Check that an aggregator that starts before the switch ends with the reason; returns its log."""
    with running("aggregator", environment) as process:
        await eventually(lambda: process.exit_code is not None, what="the aggregator's end")
        assert process.exit_code == 1
        assert "was re-created" in process.log
        return process.log


async def end(process: ServiceProcess) -> None:
    process.send(signal.SIGTERM)
    assert process.wait() == 0


async def make_history(topics: Topics) -> tuple[dict[str, Any], int]:
    """Write usage and catalog events with offsets without records, a dead letter and held usage. Returns a correction's
    original, which is not yet in the log, and the number of committed records."""
    original = usage()
    await transact(topics.bootstrap, topics.catalog, [organization()])
    await transact(topics.bootstrap, topics.usage_events, [usage() for _ in range(10)])
    await transact(topics.bootstrap, topics.usage_events, [usage(credits="1000")], commit=False)
    async with open_producer(topics.bootstrap, "test") as producer:
        await send(producer, topics.catalog, [rate(), {**organization("org_b"), "type": "nonsense"}], 0)
        for partition in range(4):
            await send(producer, topics.usage_events, [usage() for _ in range(20)], partition)
        await send(producer, topics.usage_events, [b"{", usage(**IMAGES), correction(original, "-0.25")], 1)
    return original, 10 + 80 + 3


async def test_a_move_to_another_kafka_by_mirror_maker(
    tools: Tools, database: Database, tmp_path: Path, expected_errors: list[str]
) -> None:
    expected_errors.append(AIOKAFKA_ERRORS)
    tables = Tables(database)
    async with open_broker(tmp_path / "old") as old_kafka, open_broker(tmp_path / "new") as new_kafka:
        old, new = Topics(old_kafka.bootstrap, *NAMES), Topics(new_kafka.bootstrap, *NAMES)
        await create_topics(old.bootstrap, SCHEMAS / "topics")
        await create_topics(new.bootstrap, SCHEMAS / "topics")
        original, records = await make_history(old)
        with running("aggregator", aggregator_environment(database, old)) as process:
            await tables.until_counted(old.usage_events, 90)
            assert await tables.dispositions(old.usage_events) == (90, 0, 1, 2)
            # Else the relay publishes the rest to the new cluster, and MirrorMaker copies one of two.
            await tables.until("SELECT count(*) FILTER (WHERE published_at IS NULL) FROM dead_letter_outbox", 0)
            await end(process)

        await set_topic(new.bootstrap, new.catalog, message_timestamp_type="CreateTime")
        with tools.mirror_maker(old.bootstrap, new.bootstrap):
            await read_log(new.bootstrap, new.catalog, 3, within_s=120)
            # Not counted when the old cluster is left. The copies are behind markers of the first ones.
            async with open_producer(old.bootstrap, "test") as producer:
                await send(producer, old.usage_events, [usage() for _ in range(10)], 0)
                await send(producer, old.catalog, [organization("org_late")], 0)
            records += 10
            for topic, count in ((new.usage_events, records), (new.catalog, 4), (new.dlq, 2)):
                copies = await read_log(new.bootstrap, topic, count, within_s=120)
                originals = await read_log(old.bootstrap, topic, count)
                seen = [
                    sorted((at.partition, at.value or b"", at.key, tuple(at.headers)) for at in log)
                    for log in (copies, originals)
                ]
                assert seen[0] == seen[1]
                if topic == new.catalog:
                    times = [sorted((at.value or b"", at.timestamp) for at in log) for log in (copies, originals)]
                    assert times[0] == times[1]
        await set_topic(new.bootstrap, new.catalog, message_timestamp_type="LogAppendTime")
        async with open_producer(new.bootstrap, "test") as producer:
            await send(producer, new.usage_events, [usage() for _ in range(5)], 2)

        environment = aggregator_environment(database, new)
        await check_halts(environment)
        await tables.execute(switch(new))
        assert await tables.ask("SELECT max(event_offset) FROM organizations") < 0, "older than all of the new log"
        await take_oldest(new, partition=3, before=4)
        with running("aggregator", environment) as process:
            await eventually(lambda: process.exit_code is not None, what="the aggregator's end")
            assert "Postgres expects offset 0, the log holds 4 to" in process.log
        passing = documented("sql", "UPDATE partition_progress SET next_offset").replace("500", "4")
        await tables.execute(passing.replace("partition = 0 AND", "partition = 3 AND"))

        with running("aggregator", environment) as process:
            await tables.until_counted(new.usage_events, 90 + 10 + 5)
            assert await tables.dispositions(new.usage_events) == (15, 90 - 4, 1, 2)
            assert await tables.ask("SELECT count(*)::int FROM organizations WHERE organization = 'org_late'") == 1
            await end(process)
        with running("aggregator", environment) as process:
            # Held usage is released: its catalog events are written to the new cluster.
            async with open_producer(new.bootstrap, "test") as producer:
                priced = rate("1", "1", unit="images", feature="painter", effective_from="2020-01-01T00:00:00Z")
                await send(producer, new.catalog, [priced], 0)
                await send(producer, new.usage_events, [original], 0)
            await tables.until("SELECT sum(held)::int FROM partition_progress WHERE topic = $1", 0, new.usage_events)
            assert (
                await tables.ask("SELECT sum(credits)::bigint FROM usage_daily")
                == (90 + 15 + 5 + 1) * CREDIT - CREDIT // 4
            )
            assert process.exit_code is None
            await end(process)


async def take_oldest(topics: Topics, partition: int, before: int) -> None:
    """Delete the records before this offset, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topics.usage_events, partition): RecordsToDelete(before)})
    finally:
        await admin.close()


BYTES = "org.apache.kafka.connect.converters.ByteArrayConverter"
TEXT = "org.apache.kafka.connect.storage.StringConverter"


def mirror(source: str, target: str, topic: str) -> dict[str, object]:
    """MirrorMaker's connector in a Connect worker."""
    return {
        "name": "mirror", "connector.class": "org.apache.kafka.connect.mirror.MirrorSourceConnector", "tasks.max": 2,
        "source.cluster.alias": "from", "source.cluster.bootstrap.servers": source,
        "target.cluster.alias": "to", "target.cluster.bootstrap.servers": target, "topics": topic,
        "replication.policy.class": "org.apache.kafka.connect.mirror.IdentityReplicationPolicy",
        "source.consumer.isolation.level": "read_committed", "sync.topic.configs.enabled": "false",
        "sync.topic.acls.enabled": "false", "replication.factor": 1, "offset-syncs.topic.replication.factor": 1,
    }  # fmt: skip


@pytest.mark.parametrize("way", ["mirror", "file"])
async def test_a_lost_topic_is_restored_by_connect(
    way: str, tools: Tools, topics: Topics, database: Database, tmp_path: Path, expected_errors: list[str]
) -> None:
    expected_errors.append(AIOKAFKA_ERRORS)
    tables, environment = Tables(database), aggregator_environment(database, topics)
    original, records = await make_history(topics)
    async with open_broker(tmp_path / "backup") as backup:
        copy = tmp_path / "usage.jsonl"
        if way == "mirror":
            with tools.connect(
                backup.bootstrap, BYTES, mirror(topics.bootstrap, backup.bootstrap, topics.usage_events)
            ):
                await read_log(backup.bootstrap, topics.usage_events, records, within_s=120)
        else:
            sink = {"name": "sink", "connector.class": "FileStreamSink", "topics": topics.usage_events, "file": copy}
            with tools.connect(topics.bootstrap, TEXT, sink):
                await eventually(lambda: copy.exists() and copy.read_text().count("\n") == records, within_s=90)
        # Not in the copy.
        async with open_producer(topics.bootstrap, "test") as producer:
            await send(producer, topics.usage_events, [usage() for _ in range(5)], 2)
        with running("aggregator", environment) as process:
            await tables.until_counted(topics.usage_events, 95)
            await end(process)

        await delete_topic(topics.bootstrap, topics.usage_events)
        await create_topics(topics.bootstrap, SCHEMAS / "topics", names=dict(zip(NAMES, topics.all, strict=True)))
        if way == "mirror":
            with tools.connect(
                topics.bootstrap, BYTES, mirror(backup.bootstrap, topics.bootstrap, topics.usage_events)
            ):
                await read_log(topics.bootstrap, topics.usage_events, records, within_s=120)
        else:
            source = {
                "name": "source",
                "connector.class": "FileStreamSource",
                "topic": topics.usage_events,
                "file": copy,
            }
            with tools.connect(topics.bootstrap, TEXT, source):
                await read_log(topics.bootstrap, topics.usage_events, records, within_s=120)

    async with open_producer(topics.bootstrap, "test") as producer:
        await send(producer, topics.usage_events, [usage() for _ in range(5)], 0)
    await check_halts(environment)
    await tables.execute(switch(topics, catalog=False))
    with running("aggregator", environment) as process:
        await tables.until_counted(topics.usage_events, 100)
        assert await tables.dispositions(topics.usage_events) == (5, 90, 1, 2)
        async with open_producer(topics.bootstrap, "test") as producer:
            await send(producer, topics.usage_events, [original], 3)
        await tables.until("SELECT sum(held)::int FROM partition_progress WHERE topic = $1", 1, topics.usage_events)
        assert await tables.ask("SELECT sum(credits)::bigint FROM usage_daily") == 101 * CREDIT - CREDIT // 4
        await end(process)
