"""The aggregator as a process on real Kafka: how it starts, stops, fails and reports."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from flexcredits_schemas.zones import TZ_VERSION
from runtime.kafka.clients import open_producer
from support.data.factories import organization, rfc3339, usage
from support.infra.service_process import aggregator_environment, eventually, running
from support.infra.stack import Database, Topics
from support.services.aggregator_process import check_totals, many, send, send_catalog_events, until_applied


@pytest.fixture
async def producer(topics: Topics) -> AsyncIterator[AIOKafkaProducer]:
    async with open_producer(topics.bootstrap, "test") as open_:
        yield open_


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


async def test_counts_what_came_before_its_first_start_and_publishes(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    events, total = many(500)
    await send(producer, topics.usage_events, [*events, b"{"])
    await send_catalog_events(producer, topics)
    with running("aggregator", aggregator_environment(database, topics)) as process:
        await until_applied(owner, topics, 501)
        await check_totals(owner, total)
        level = await last_level(topics, total)
        assert level["organization"] == "org_acme"
        dead = await first_record(topics.bootstrap, topics.dlq)
        assert dead.value == b"{"
        assert dict(dead.headers)["reason"].startswith(b"not valid JSON")
        complete = await owner.fetchval(
            "SELECT min(caught_up_at) FROM partition_progress WHERE topic = $1", topics.usage_events
        )

        async def still_complete() -> bool:
            now = await owner.fetchval(
                "SELECT min(complete_to) FROM partition_ends WHERE topic = $1", topics.usage_events
            )
            return bool(complete is not None and now is not None and now > complete)

        await eventually(still_complete, within_s=10, what="complete_to moving on without usage")
        process.send(signal.SIGTERM)
        assert process.wait() == 0


async def last_level(topics: Topics, total: int) -> dict[str, Any]:
    consumer = AIOKafkaConsumer(topics.totals, bootstrap_servers=topics.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            async for record in consumer:
                level: dict[str, Any] = json.loads(record.value)
                if level["micro_credits"] == {"assistant": str(total)}:
                    return level
    finally:
        await consumer.stop()
    raise AssertionError


async def first_record(bootstrap: str, topic: str) -> Any:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return await asyncio.wait_for(consumer.getone(), 20)
    finally:
        await consumer.stop()


@pytest.mark.slow
async def test_stops_loudly_when_retention_took_unread_records(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    await send_catalog_events(producer, topics)
    await send(producer, topics.usage_events, many(40, seed=7)[0])
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(topics.usage_events, 0): RecordsToDelete(before_offset=5)})
    await admin.close()
    with running("aggregator", aggregator_environment(database, topics)) as process:
        assert process.wait(40) == 1
        assert "Postgres expects offset 0, the log holds 5 to 10" in process.log


async def test_a_batch_that_always_takes_too_long_is_counted_in_halves(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    names = [f"org_{number}" for number in range(8)]
    events = [usage(envelope={"subject": name}) for name in names for _ in range(40)]
    await send(producer, topics.catalog, [organization(name) for name in names])
    await send(producer, topics.usage_events, [*events, b"{"], partition=0)
    await owner.execute(
        "CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF (SELECT count(*) FROM added) > 50"
        " THEN RAISE EXCEPTION 'slow' USING ERRCODE = '57014'; END IF; RETURN NULL; END $$"
    )
    await owner.execute(
        "CREATE TRIGGER slow AFTER INSERT ON usage_ledger REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION be_slow()"
    )
    with running("aggregator", aggregator_environment(database, topics)) as process:
        await until_applied(owner, topics, 40 * 8 + 1)
        await check_totals(owner, 40 * 8 * 1_000_000)
        assert "counting a batch in halves" in process.log
        assert process.exit_code is None
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0
    assert await owner.fetchval("SELECT count(*) FROM dead_letter_outbox") == 1


@pytest.mark.slow
async def test_stops_on_a_bad_deploy_and_continues_when_allowed(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    await send_catalog_events(producer, topics)
    bad: list[dict[str, Any] | bytes] = [
        json.dumps({**usage(), "specversion": "9", "source": f"/products/p{number % 3}"}).encode()
        for number in range(800)
    ]
    await send(producer, topics.usage_events, bad)
    environment = aggregator_environment(database, topics)
    with running("aggregator", environment) as process:
        assert process.wait(40) == 1
        assert "cannot be read, from 3 sources" in process.log
    assert await owner.fetchval("SELECT count(*) FROM dead_letter_outbox") < 800
    with running("aggregator", {**environment, "DEAD_LETTER_LIMIT": "off"}):
        await until_applied(owner, topics, 800)
    assert await owner.fetchval("SELECT count(*) FROM dead_letter_outbox") == 800


async def test_uncounted_records_fail_readiness_and_then_end_the_process(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    await send_catalog_events(producer, topics)
    environment = aggregator_environment(database, topics, STALL_S="2", STUCK_EXIT_S="6")
    with running("aggregator", environment) as process:
        await eventually(process.ready, what="readiness")
        async with owner.transaction():
            lock = "SELECT FROM partition_progress WHERE topic = $1 AND partition = 0 FOR UPDATE"
            await owner.fetch(lock, topics.usage_events)
            await send(producer, topics.usage_events, [usage(), usage()], partition=0)
            await eventually(lambda: process.readiness()["missing"] == ["progress"], what="progress as what is missing")
            assert process.readiness()["checks"]["kafka"] == process.readiness()["checks"]["postgres"] == "ok"
            zones = process.readiness()["time_zones"]
            assert (zones["tz"], zones["outdated_organizations"]) == (TZ_VERSION, 0)
            assert zones["postgres_differs_in"] is not None
            await eventually(lambda: process.exit_code is not None, what="the end of the process")
        assert process.exit_code == 1
        assert "Stalled" in process.log
        assert f"{topics.usage_events}/0 stands at 0 of 2 for" in process.log
    with running("aggregator", environment) as process:
        await until_applied(owner, topics, 2)
        await check_totals(owner, 2_000_000)


async def test_metrics_count_events_by_disposition(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    await send_catalog_events(producer, topics)
    with running("aggregator", aggregator_environment(database, topics)) as process:
        await eventually(process.ready, what="readiness")
        began = time.time()
        event, late = (
            usage(credits="1.5"),
            usage(credits="2", envelope={"time": rfc3339(datetime.now(UTC) - timedelta(days=3))}),
        )
        stranger = usage(envelope={"subject": "org_unknown"})
        await send(producer, topics.usage_events, [event, event, late, b"{", stranger], partition=0)
        await until_applied(owner, topics, 5)
        name = "flexcredits_aggregator_"
        dispositions = {"counted": 2, "duplicate": 1, "rejected": 1, "held": 1, "replayed": 0}
        await eventually(lambda: process.metric(f'{name}events_total{{disposition="counted"}}') == 2, what="counted")
        assert {
            each: process.metric(f'{name}events_total{{disposition="{each}"}}') for each in dispositions
        } == dispositions
        assert process.metric(f'{name}dead_letters_total{{reason="unreadable"}}') == 1
        assert process.metric(f"{name}late_events_total") == 1
        assert process.metric(f'{name}visible_events_total{{within_2s="yes"}}') == 2
        assert 0 < process.metric(f"{name}visible_seconds_sum") < 2 * process.metric(f"{name}visible_seconds_count")
        assert process.metric(f'{name}credits_total{{direction="added",product="assistant"}}') == 3.5
        await eventually(lambda: process.metric(f"{name}complete_to_timestamp_seconds") > began, what="complete_to")
        await eventually(lambda: process.metric(f"{name}held_events") == 1, what="held")
        assert process.metric(f"{name}unaccounted_records") == 0
        assert process.metric(f"{name}partitions_ahead_days") >= 6
        assert process.metric(f"{name}database_bytes") > 1_000_000
        assert process.metric(f"{name}lag_records") == 0


async def test_one_organizations_defect_delays_no_other(
    database: Database, topics: Topics, producer: AIOKafkaProducer, owner: asyncpg.Connection
) -> None:
    """A trigger simulates the defect. The aggregator is killed meanwhile, and must not lose or repeat events."""
    names = [f"org_{letter}" for letter in "abcd"]
    await send(producer, topics.catalog, [organization(name) for name in names], partition=0)

    def one_each() -> list[dict[str, Any] | bytes]:
        return [usage(envelope={"subject": name}) for name in names for _ in range(4)]

    async def until_counted(expected: dict[str, int], within_s: float) -> None:
        async def is_so() -> bool:
            rows = await owner.fetch(
                "SELECT o.organization, sum(d.credits)::bigint AS credits FROM usage_organization_daily d"
                " JOIN organizations o USING (organization_id) GROUP BY 1"
            )
            return {row["organization"]: row["credits"] for row in rows} == expected

        await eventually(is_so, within_s=within_s, what=f"counted {expected}")

    environment = aggregator_environment(database, topics, SWEEP_INTERVAL_S="0.1")
    with running("aggregator", environment) as process:
        await send(producer, topics.usage_events, one_each())
        await until_counted(dict.fromkeys(names, 4_000_000), 30)
        number = await owner.fetchval("SELECT organization_id FROM organizations WHERE organization = 'org_a'")
        await owner.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN IF NEW.organization_id = {number} THEN RAISE EXCEPTION 'a defect'; END IF; RETURN NEW; END $$"
        )
        await owner.execute(
            "CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON usage_15m FOR EACH ROW EXECUTE FUNCTION fail()"
        )
        await send(producer, topics.usage_events, one_each())
        await until_counted({**dict.fromkeys(names, 8_000_000), "org_a": 4_000_000}, 10)
        process.send(signal.SIGKILL)
    with running("aggregator", environment) as process:
        await send(producer, topics.usage_events, one_each())
        await until_counted({**dict.fromkeys(names, 12_000_000), "org_a": 4_000_000}, 30)
        gauge = 'flexcredits_quarantined_organizations{component="aggregator"}'
        await eventually(lambda: process.metric(gauge) == 1, within_s=20, what="the gauge")
        await owner.execute("DROP TRIGGER fail ON usage_15m")
        await owner.execute("UPDATE quarantine SET retry_at = now()")
        await until_counted(dict.fromkeys(names, 12_000_000), 10)
        assert process.exit_code is None
    await check_totals(owner, 48_000_000)
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0
    dispositions = await owner.fetchrow(
        "SELECT sum(counted)::int, sum(held)::int, sum(duplicate)::int FROM partition_progress WHERE topic = $1",
        topics.usage_events,
    )
    assert dispositions is not None
    assert tuple(dispositions) == (48, 0, 0)
