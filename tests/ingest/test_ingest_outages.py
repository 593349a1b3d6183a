"""Kafka unavailable, paused, killed or refusing: ingest sends no 202 for unwritten events, does not hang, and recovers by itself."""

import asyncio
import gc
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from flexcredits_cli.machine.ports import accepts
from ingest.kafka.partition_queue import RECORD_OVERHEAD_BYTES, Batch
from support.data.factories import usage
from support.infra import stack as real
from support.infra.brokers import AIOKAFKA_ERRORS, Broker
from support.infra.service_process import eventually, running
from support.infra.stack import Database, Topics
from support.services.ingest import Ingest, environment, ids, running_here

pytestmark = pytest.mark.slow
embedded = pytest.mark.embedded("kills and freezes its broker")


@pytest.fixture(scope="module")
def own_broker() -> Iterator[Broker]:
    with real.throwaway_folder() as folder:
        broker = Broker(folder)
        yield broker
        broker.kill()


@pytest.fixture
async def broker(own_broker: Broker) -> Broker:
    await own_broker.start()
    return own_broker


@pytest.fixture
async def own_topics(broker: Broker) -> Topics:
    return await real.make_topics(broker.bootstrap)


@embedded
async def test_kafka_away_at_start(
    own_broker: Broker, database: Database, key: str, expected_errors: list[str]
) -> None:
    expected_errors.append(AIOKAFKA_ERRORS)
    await own_broker.start()
    topics = await real.make_topics(own_broker.bootstrap)
    own_broker.kill()
    async with running_here(database, topics, key, wait=False) as ingest:
        began = time.monotonic()
        answer = await ingest.post(usage())
        assert time.monotonic() - began < 2
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/unavailable"
        assert answer.json()["outcome"] == "not_accepted"
        assert int(answer.headers["retry-after"]) > 0
        status, reason = await ingest.readiness()
        assert status == 503
        assert "Kafka" in reason
        await own_broker.start()
        await eventually(ingest.is_ready, what="readiness")
        assert (await ingest.post(usage())).status_code == 202


@embedded
async def test_missing_topic_is_named(broker: Broker, database: Database, key: str, expected_errors: list[str]) -> None:
    expected_errors.append(AIOKAFKA_ERRORS)
    topics = Topics(broker.bootstrap, "none.events", "none.catalog", "none.totals", "none.dlq", "none.alerts")
    async with running_here(database, topics, key, wait=False) as ingest:

        async def says_which() -> bool:
            return "none.events" in (await ingest.readiness())[1]

        await eventually(says_which)
        assert (await ingest.post(usage())).status_code == 503


@embedded
async def test_frozen_kafka_is_answered_in_bounded_time_and_recovers(
    broker: Broker, own_topics: Topics, database: Database, key: str, expected_errors: list[str]
) -> None:
    expected_errors.append(AIOKAFKA_ERRORS)
    async with running_here(database, own_topics, key, produce_wait_s=1) as ingest:
        first, unknown, refused, last = (usage() for _ in range(4))
        assert (await ingest.post(first)).status_code == 202
        broker.freeze()
        try:
            began = time.monotonic()
            answer = await ingest.post(unknown)
            took = time.monotonic() - began
            assert answer.status_code == 503
            assert answer.json()["outcome"] == "unknown"
            assert int(answer.headers["retry-after"]) > 0
            assert 0.9 < took < 3
            began = time.monotonic()
            answer = await ingest.post(refused)
            assert time.monotonic() - began < 0.5
            assert (answer.status_code, answer.json()["outcome"]) == (503, "not_accepted")
            await eventually(lambda: not_ready(ingest), within_s=15, what="readiness to fall")
        finally:
            broker.thaw()
        await eventually(ingest.is_ready, what="readiness")
        await eventually(lambda: takes(ingest, last), what="a 202")
        # Events that were resent are copies, which the ledger ignores.
        written = set(ids(await ingest.usage()))
        assert {first["id"], unknown["id"], last["id"]} <= written
        assert refused["id"] not in written
        assert await ingest.metric("flexcredits_ingest_in_flight_bytes") == 0


async def not_ready(ingest: Ingest) -> bool:
    return not await ingest.is_ready()


async def takes(ingest: Ingest, event: dict[str, object]) -> bool:
    return (await ingest.post(event)).status_code == 202


@embedded
async def test_bytes_in_flight_are_bounded(
    broker: Broker, own_topics: Topics, database: Database, key: str, expected_errors: list[str]
) -> None:
    expected_errors.append(AIOKAFKA_ERRORS)
    limits = {"in_flight_bytes_max": 1_000_000, "body_bytes_max": 200_000, "produce_wait_s": 2}
    async with running_here(database, own_topics, key, **limits) as ingest:
        batch = [usage() for _ in range(300)]
        assert (await ingest.post(batch)).status_code == 202
        broker.freeze()
        try:
            began = time.monotonic()
            answers = await asyncio.gather(*(ingest.post(batch) for _ in range(30)))
            assert time.monotonic() - began < 10
            assert {answer.status_code for answer in answers} == {503}
            assert {answer.json()["outcome"] for answer in answers} == {"unknown", "not_accepted"}
            assert await ingest.metric("flexcredits_ingest_in_flight_bytes") <= 1_000_000
        finally:
            broker.thaw()
        await eventually(lambda: takes(ingest, usage()), what="a 202")
        assert await ingest.metric("flexcredits_ingest_in_flight_bytes") == 0


@embedded
async def test_what_waits_for_a_stalled_kafka_is_bounded_and_freed_without_it(
    broker: Broker, own_topics: Topics, database: Database, key: str, expected_errors: list[str]
) -> None:
    """Wave after wave arrives while Kafka is frozen. Counts what is really in memory, not what the budget says."""
    expected_errors.append(AIOKAFKA_ERRORS)
    limits = {"in_flight_bytes_max": 1_000_000, "body_bytes_max": 200_000, "produce_wait_s": 1}
    async with running_here(database, own_topics, key, **limits) as ingest:
        assert (await ingest.post(usage())).status_code == 202
        gc.collect()
        before = len(batches_in_memory())
        broker.freeze()
        try:
            outcomes: Counter[str] = Counter()
            for _ in range(4):
                requests = [ingest.post([usage() for _ in range(300)]) for _ in range(20)]
                requests += [ingest.post(usage()) for _ in range(50)]
                for answer in await asyncio.gather(*requests):
                    assert answer.status_code == 503
                    outcomes[answer.json()["outcome"]] += 1
                held = await ingest.metric("flexcredits_ingest_in_flight_bytes")
                gc.collect()
                batches = batches_in_memory()
                assert held <= 1_000_000
                assert sum(batch.sizes.total() for batch in batches) <= 1_000_000
                assert sum(batch.builder.record_count() for batch in batches) <= 1_000_000 // RECORD_OVERHEAD_BYTES
            assert outcomes["not_accepted"] > outcomes["unknown"] > 0, "the later waves are refused at once"
            # No request waits any longer: at most the batch that is being sent remains of each partition.
            assert len(batches) - before <= 4
        finally:
            broker.thaw()
        await eventually(lambda: takes(ingest, usage()), what="a 202")
        assert await ingest.metric("flexcredits_ingest_in_flight_bytes") == 0


def batches_in_memory() -> list[Batch]:
    return [each for each in gc.get_objects() if type(each) is Batch]


@embedded
async def test_acknowledged_events_survive_a_killed_broker(
    broker: Broker, own_topics: Topics, database: Database, key: str, expected_errors: list[str]
) -> None:
    expected_errors.append(AIOKAFKA_ERRORS)
    acknowledged: list[str] = []
    stop = asyncio.Event()

    async def send(ingest: Ingest) -> None:
        while not stop.is_set():
            batch = [usage() for _ in range(50)]
            answer = await ingest.post(batch)
            assert answer.status_code in (202, 503)
            if answer.status_code == 202:
                acknowledged.extend(event["id"] for event in batch)

    async with running_here(database, own_topics, key, produce_wait_s=1) as ingest:
        senders = [asyncio.create_task(send(ingest)) for _ in range(4)]
        for _ in range(2):
            before = len(acknowledged)
            await eventually(lambda before=before: len(acknowledged) > before + 500)  # type: ignore[misc]
            broker.kill()
            await broker.start()
        before = len(acknowledged)
        await eventually(lambda: len(acknowledged) > before + 500, what="events after the second restart")
        stop.set()
        await asyncio.gather(*senders)
        written = ids(await ingest.usage())
    assert set(acknowledged) <= set(written)
    # Neither the producer's retries nor the restarts wrote an event twice.
    assert len(written) == len(set(written))


@pytest.fixture
async def narrow_topics(kafka_bootstrap: str) -> AsyncIterator[Topics]:
    """Topics that refuse every batch above a small size."""
    topics = await real.make_topics(kafka_bootstrap)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topics.usage_events])
        await eventually(lambda: is_gone(admin, topics.usage_events))
        narrow = NewTopic(topics.usage_events, 1, 1, topic_configs={"max.message.bytes": "1000"})
        await admin.create_topics([narrow])
        yield topics
        await real.delete_topics(topics)
    finally:
        await admin.close()


async def is_gone(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return topic not in await admin.list_topics()


async def test_batch_that_failed_for_good_ends_the_process(narrow_topics: Topics, database: Database, key: str) -> None:
    """The broker misses its sequence numbers and would refuse all later batches of this producer."""
    given = environment(database.roles["flexcredits_ingest"], narrow_topics)
    with running("ingest", given) as process:
        await eventually(process.ready, what="readiness")
        ingest = Ingest(f"http://127.0.0.1:{given['HTTP_PORT']}", "", narrow_topics, key)
        answer = await ingest.post([usage(feature=os.urandom(50).hex()) for _ in range(500)])
        assert (answer.status_code, answer.json()["outcome"]) == (503, "unknown")
        assert process.wait() == 1
        assert "ProducerBroken" in process.log


@embedded
async def test_sigterm_answers_what_has_begun_and_leaves_with_0(
    broker: Broker, own_topics: Topics, database: Database, key: str
) -> None:
    given = environment(database.roles["flexcredits_ingest"], own_topics)
    url = f"http://127.0.0.1:{given['HTTP_PORT']}"
    with running("ingest", given) as process:
        await eventually(process.ready, what="readiness")
        ingest = Ingest(url, f"http://127.0.0.1:{process.probe_port}", own_topics, key)
        assert (await ingest.post(usage())).status_code == 202
        broker.freeze()
        try:
            batch = [usage() for _ in range(100)]
            begun = asyncio.create_task(ingest.post(batch))
            await eventually(lambda: is_in_flight(ingest), what="the request to begin")
            process.send(signal.SIGTERM)
            await eventually(lambda: not accepts(int(given["HTTP_PORT"])), what="the port to close")
            assert process.exit_code is None
        finally:
            broker.thaw()
        assert (await begun).status_code == 202
        assert process.wait() == 0
        assert process.log.count("ERROR") == 0
    assert {event["id"] for event in batch} <= set(ids(await ingest.usage()))


async def is_in_flight(ingest: Ingest) -> bool:
    return await ingest.metric("flexcredits_ingest_in_flight_bytes") > 0


@embedded
async def test_sigterm_without_kafka_ends_in_time(
    broker: Broker, own_topics: Topics, database: Database, key: str
) -> None:
    given = environment(database.roles["flexcredits_ingest"], own_topics, produce_wait_s=1, shutdown_s=3)
    with running("ingest", given) as process:
        await eventually(process.ready, what="readiness")
        broker.freeze()
        try:
            ingest = Ingest(f"http://127.0.0.1:{given['HTTP_PORT']}", "", own_topics, key)
            assert (await ingest.post(usage())).status_code == 503
            process.send(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            broker.thaw()
