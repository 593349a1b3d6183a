"""Alert events reach usage.alerts.v1 in order, are kept while Kafka is unavailable, and copies have the same id."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import jsonschema_rs
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from alerter.evaluation.retry import retry_quarantined
from alerter.notify.topic import publish_alert_events
from alerter.queues.rotation import Rotation
from flexcredits_schemas import SCHEMAS
from runtime.kafka.clients import open_consumer, open_producer
from runtime.postgres.pool import Connection, Pool
from support.clients.webhook_receiver import https_receiver
from support.data.table_rows import TableRows
from support.infra.service_process import alerter_environment, eventually, running
from support.infra.stack import Database, Topics
from support.services.alerter import evaluator, make_customer, smtp_server

ALERT = jsonschema_rs.Draft202012Validator(
    json.loads((SCHEMAS / "alerts" / "alert.v1.json").read_text()), validate_formats=True
)


@pytest.fixture
async def producer(topics: Topics) -> AsyncIterator[AIOKafkaProducer]:
    async with open_producer(topics.bootstrap, "test") as open_:
        yield open_


async def read(topics: Topics, number: int) -> list[dict[str, Any]]:
    """The first `number` events of the topic, by organization in its order, each valid."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(30), open_consumer(topics.bootstrap, "test") as consumer:
        consumer.subscribe([topics.alerts])
        while len(events) < number:
            for records in (await consumer.getmany(timeout_ms=10_000)).values():
                for record in records:
                    event = json.loads(record.value)
                    ALERT.validate(event)
                    assert record.key == event["subject"].encode()
                    events.append(event)
    return sorted(events, key=lambda event: str(event["subject"]))


def summaries(events: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(event["subject"], event["type"].split(".")[2], event["data"]["threshold"]) for event in events]


async def test_every_firing_and_its_end_reach_the_topic_in_order(
    db: TableRows, pool: Pool, topics: Topics, producer: AIOKafkaProducer
) -> None:
    acme, other = await make_customer(db), await make_customer(db, "org_other")
    await acme.use(95)
    await other.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    await acme.use(-10)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await publish_alert_events(pool, producer, topics.alerts, Rotation()) == 4
    assert await publish_alert_events(pool, producer, topics.alerts, Rotation()) == 0
    events = await read(topics, 4)
    assert summaries(events) == [
        ("org_acme", "fired", 75), ("org_acme", "fired", 90), ("org_acme", "resolved", 90), ("org_other", "fired", 75),
    ]  # fmt: skip
    assert events[2]["data"]["resolution"] == "level"


async def test_what_kafka_does_not_confirm_waits(
    db: TableRows, pool: Pool, owner: Connection, topics: Topics, producer: AIOKafkaProducer
) -> None:
    acme = await make_customer(db)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    async with open_producer(topics.bootstrap, "test") as closed:
        pass
    assert await publish_alert_events(pool, closed, topics.alerts, Rotation()) == 0
    assert await owner.fetchval("SELECT published_at FROM alert_events") is None
    assert await publish_alert_events(pool, producer, topics.alerts, Rotation()) == 1
    assert summaries(await read(topics, 1)) == [("org_acme", "fired", 75)]


async def test_a_crash_after_kafka_has_it_makes_a_copy_with_the_same_id(
    db: TableRows, pool: Pool, owner: Connection, topics: Topics, producer: AIOKafkaProducer
) -> None:
    acme = await make_customer(db)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    await owner.execute(
        "CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'crash' USING ERRCODE = '58030'; END $$;"
        "CREATE TRIGGER crash BEFORE UPDATE ON alert_events FOR EACH ROW EXECUTE FUNCTION crash()"
    )
    with pytest.raises(asyncpg.PostgresIOError):
        await publish_alert_events(pool, producer, topics.alerts, Rotation())
    await owner.execute("DROP TRIGGER crash ON alert_events")
    assert await publish_alert_events(pool, producer, topics.alerts, Rotation()) == 1
    first, copy = await read(topics, 2)
    assert first == copy


@pytest.mark.parametrize("how", ["a body that Kafka does not take", "a row that cannot be marked"])
async def test_an_alert_event_that_cannot_be_published_waits_and_the_others_are_published(
    db: TableRows, pool: Pool, owner: Connection, topics: Topics, producer: AIOKafkaProducer, how: str
) -> None:
    customers = [await make_customer(db, f"org_{at}") for at in range(4)]
    broken = customers[1].number
    for customer in customers:
        await customer.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    body = await owner.fetchval("SELECT body FROM alert_events WHERE organization_id = $1", broken)
    if how == "a body that Kafka does not take":
        await owner.execute("UPDATE alert_events SET body = repeat('x', 2000000) WHERE organization_id = $1", broken)
    else:
        await owner.execute(
            "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF NEW.organization_id = {broken} THEN RAISE 'broken'; END IF; RETURN NEW; END $$;"
            "CREATE TRIGGER broken BEFORE UPDATE OF published_at ON alert_events FOR EACH ROW EXECUTE FUNCTION broken()"
        )
    assert await publish_alert_events(pool, producer, topics.alerts, Rotation()) == 3
    assert await publish_alert_events(pool, producer, topics.alerts, Rotation()) == 0, "tried again before its time"
    rows = await owner.fetch("SELECT organization_id, step, attempts FROM quarantine")
    assert [tuple(row) for row in rows] == [(broken, "publish", 1)]
    await owner.execute("DROP TRIGGER IF EXISTS broken ON alert_events; UPDATE quarantine SET retry_at = now()")
    await owner.execute("UPDATE alert_events SET body = $2 WHERE organization_id = $1", broken, body)
    assert await publish_alert_events(pool, producer, topics.alerts, Rotation()) == 1
    await retry_quarantined(pool, evaluator(pool))
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0
    published = {event["subject"] for event in await read(topics, 4)}
    assert {"org_0", "org_2", "org_3"} <= published


class LeavingKafka:
    """A producer whose first record is too large for Kafka, and whose other sends time out."""

    def __init__(self) -> None:
        self.sends = 0

    async def send(self, topic: str, value: bytes, key: bytes) -> asyncio.Future[Any]:
        self.sends += 1
        raise MessageSizeTooLargeError if self.sends == 1 else KafkaTimeoutError


async def test_a_kafka_that_leaves_is_not_waited_for_once_per_organization(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    for at in range(4):
        customer = await make_customer(db, f"org_{at}")
        await customer.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    producer: Any = LeavingKafka()
    assert await publish_alert_events(pool, producer, "alerts", Rotation()) == 0
    assert producer.sends == 2
    assert await owner.fetchval("SELECT count(*) FROM alert_events WHERE published_at IS NULL") == 4
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0


@pytest.mark.slow
async def test_a_running_alerter_notifies_the_topic_and_a_webhook(
    database: Database, db: TableRows, topics: Topics, owner: Connection, tmp_path: Path
) -> None:
    acme = await make_customer(db, starts_on="2026-01-01", ends_on="2036-01-01")
    async with smtp_server() as mailbox, https_receiver(tmp_path) as receiver:
        await db.execute(
            "INSERT INTO alert_channels (organization_id, kind, name, masked_url, url, signing_secret, created_by)"
            " VALUES ($1, 'webhook', 'Ops', '', $2, 'whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0', 'ada')",
            acme.number, receiver.url,
        )  # fmt: skip
        networks = {"WEBHOOK_CA_FILE": str(receiver.ca_file), "WEBHOOK_NETWORKS": '["127.0.0.0/8"]'}
        with running("alerter", alerter_environment(database, topics, mailbox.port, **networks)) as process:
            await eventually(process.ready, what="readiness")
            await acme.use(80)
            await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES ($1)", acme.number)
            await eventually(lambda: bool(receiver.posts), what="the webhook")
            [event] = await read(topics, 1)
    assert json.loads(receiver.posts[0].body) == event
    assert event["data"]["used"] == "80.000000"
