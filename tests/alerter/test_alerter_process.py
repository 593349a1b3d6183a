"""The alerter as a process on real Kafka, Postgres and SMTP: triggered, paused, without Kafka or Postgres."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from flexcredits_cli.embedded.java import find_java
from flexcredits_cli.embedded.kafka import EmbeddedKafka
from flexcredits_cli.embedded.kafka_jars import ensure_jars
from flexcredits_cli.embedded.readiness import wait_until_usable
from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.machine.state_folder import state_folder
from flexcredits_cli.processes.programs import Process
from runtime.kafka.clients import open_producer
from runtime.postgres.pool import Connection
from support.data.header_names import send_with_odd_header
from support.data.table_rows import TableRows
from support.infra.service_process import alerter_environment, eventually, running
from support.infra.stack import Database, Topics, make_topics, throwaway_folder
from support.services.alerter import Customer, Script, banner, firings, make_customer, smtp_server
from support.services.alerter_process import NEVER_S, RECIPIENTS, send_totals, until_evaluated, until_notified

pytestmark = pytest.mark.slow


@pytest.fixture
async def producer(topics: Topics) -> AsyncIterator[AIOKafkaProducer]:
    async with open_producer(topics.bootstrap, "test") as open_:
        yield open_


@pytest.fixture
async def mailbox() -> AsyncIterator[Script]:
    async with smtp_server() as server:
        yield server


@pytest.fixture
async def acme(db: TableRows) -> Customer:
    return await make_customer(db, starts_on="2026-01-01", ends_on="2036-01-01")


async def test_a_totals_message_raises_the_banner_and_mails_and_a_signal_ends_it_in_order(
    database: Database, topics: Topics, producer: AIOKafkaProducer, mailbox: Script, acme: Customer, owner: Connection
) -> None:
    environment = alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S=NEVER_S)
    with running("alerter", environment) as process:
        await eventually(process.ready, what="readiness")
        await producer.send_and_wait(topics.totals, b"{", key=b"x")
        await producer.send_and_wait(topics.totals, None, key=b"x", headers=[("traceparent", None)])
        for partition in await producer.partitions_for(topics.totals):
            await send_with_odd_header(topics.bootstrap, topics.totals, [b"{"], partition=partition)
        await send_totals(producer, topics.totals, "org_unheard_of")
        await acme.use(80)
        await send_totals(producer, topics.totals)
        await until_notified(owner, mailbox, acme.number)
        assert await banner(owner, acme.number) == (75, 1)
        assert {recipient for recipient, _ in mailbox.got} == RECIPIENTS
        await eventually(lambda: process.metric("flexcredits_alerter_unreadable_total") == 6)
        assert process.metric('flexcredits_alerter_firings_total{kind="used",notification="sent",rule="usage"}') == 1
        process.send(signal.SIGTERM)
        assert process.wait() == 0


async def test_a_wakeup_is_drained_within_a_moment(
    database: Database, topics: Topics, mailbox: Script, acme: Customer, owner: Connection
) -> None:
    environment = alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S=NEVER_S)
    with running("alerter", environment) as process:
        await eventually(process.ready, what="readiness")
        await acme.use(80)
        await acme.set_total(100)
        await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES ($1)", acme.number)
        await until_notified(owner, mailbox, acme.number)


async def test_an_organization_that_cannot_be_evaluated_delays_no_other_and_is_notified_later(
    database: Database, topics: Topics, mailbox: Script, db: TableRows, owner: Connection
) -> None:
    """One of three organizations has sums beyond bigint, in the sweep and in a wake-up of all."""
    names = ("org_one", "org_broken", "org_two")
    one, broken, two = [await make_customer(db, name, starts_on="2026-01-01", ends_on="2036-01-01") for name in names]
    for product in ("agents", "api"):
        await broken.use(5e12, product=product)
    quarantined = 'flexcredits_alerter_quarantined{step="evaluate"}'
    environment = alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S="1")
    with running("alerter", environment) as process:
        await eventually(process.ready, what="readiness")
        for customer in (one, two):
            await customer.use(80)
        await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES (0), ($1)", broken.number)
        for customer in (one, two):
            await until_notified(owner, mailbox, customer.number, within_s=10)
        await eventually(lambda: process.metric(quarantined) == 1, what="the metric")
        for product in ("agents", "api"):
            await broken.use(-5e12, product=product)
        await broken.use(80)
        await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES ($1)", broken.number)
        await until_notified(owner, mailbox, broken.number, within_s=10)
        await eventually(lambda: process.metric(quarantined) == 0, what="the metric")
        assert len(mailbox.got) == len({to for to, _ in mailbox.got}) == 9
        process.send(signal.SIGTERM)
        assert process.wait() == 0


async def test_while_one_is_frozen_the_others_sweep_catches_up_and_nothing_fires_twice(
    database: Database, topics: Topics, producer: AIOKafkaProducer, mailbox: Script, acme: Customer, owner: Connection
) -> None:
    sweeping = alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S="1")
    deaf = alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S=NEVER_S)
    with running("alerter", deaf) as frozen:
        await eventually(frozen.ready, what="readiness")
        frozen.send(signal.SIGSTOP)  # with all partitions
        await acme.use(80)
        await send_totals(producer, topics.totals)
        with running("alerter", sweeping):
            await until_notified(owner, mailbox, acme.number)
            frozen.send(signal.SIGCONT)
            await eventually(frozen.ready, what="the one that was frozen")
            await send_totals(producer, topics.totals)
            await acme.use(12)
            await until_evaluated(owner, acme, 90)
            await until_notified(owner, mailbox, acme.number, mails=6)
    assert await firings(owner, acme.number) == [(75, 1, "sent", None), (90, 1, "sent", None)]
    assert len(mailbox.got) == 6


async def test_messages_that_never_come_cost_one_sweep(
    database: Database, topics: Topics, mailbox: Script, acme: Customer, owner: Connection
) -> None:
    """A stalled consumer has no other effect."""
    with running("alerter", alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S="2")) as process:
        await eventually(process.ready, what="readiness")
        began = asyncio.get_running_loop().time()
        await acme.use(80)
        await until_notified(owner, mailbox, acme.number)
        assert asyncio.get_running_loop().time() - began < 6
    assert await firings(owner, acme.number) == [(75, 1, "sent", None)]


@pytest.mark.timeout(240)
@pytest.mark.embedded("stops its broker for a minute")
async def test_without_kafka_for_a_minute_it_sweeps_on_and_then_listens_again(
    database: Database, mailbox: Script, acme: Customer, owner: Connection
) -> None:
    class_path = ensure_jars(state_folder().jars, print)
    port, controller_port = free_ports(2)
    with throwaway_folder() as folder:
        broker = EmbeddedKafka(folder, class_path, find_java(), port, controller_port, 384, quick_start=True)
        broker.prepare()
        process = Process(broker.program(), lambda *_: None)
        try:
            process.wait_ready()
            await wait_until_usable(broker.bootstrap)
            topics = await make_topics(broker.bootstrap)
            environment = alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S="2")
            with running("alerter", environment) as alerter:
                await eventually(alerter.ready, what="readiness")
                process.stop()
                await acme.use(80)
                await until_notified(owner, mailbox, acme.number, within_s=10)
                await asyncio.sleep(60)
                await acme.use(12)
                await until_notified(owner, mailbox, acme.number, mails=6, within_s=10)
                assert alerter.exit_code is None, "it must not need Kafka to sweep"
                process = Process(broker.program(), lambda *_: None)
                process.wait_ready()
                await wait_until_usable(broker.bootstrap)
                listened = 'flexcredits_alerter_evaluated_organizations_total{trigger="totals"}'
                async with open_producer(broker.bootstrap, "test") as producer:

                    async def hears() -> bool:
                        await send_totals(producer, topics.totals)
                        await asyncio.sleep(0.5)
                        return alerter.metric(listened) > 0

                    await eventually(hears, within_s=60, what="a message heard again")
                assert alerter.exit_code is None
        finally:
            process.stop()
    assert await firings(owner, acme.number) == [(75, 1, "sent", None), (90, 1, "sent", None)]
    assert len(mailbox.got) == 6


async def test_postgres_away_for_a_moment_delays_and_loses_nothing(
    database: Database, topics: Topics, producer: AIOKafkaProducer, mailbox: Script, acme: Customer, owner: Connection
) -> None:
    with running("alerter", alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S="1")) as process:
        await eventually(process.ready, what="readiness")
        await owner.execute("ALTER ROLE flexcredits_alerter CONNECTION LIMIT 0")
        try:
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'flexcredits_alerter'"
                " AND datname = current_database()"
            )
            await acme.use(80)
            await send_totals(producer, topics.totals)
            await eventually(lambda: "skipped once" in process.log, what="a sweep without Postgres")
            assert await firings(owner, acme.number) == []
        finally:  # the limit applies to the whole server
            await owner.execute("ALTER ROLE flexcredits_alerter CONNECTION LIMIT -1")
        await until_notified(owner, mailbox, acme.number)
        assert process.exit_code is None


async def test_a_failure_that_does_not_pass_ends_the_process(
    database: Database, topics: Topics, producer: AIOKafkaProducer, mailbox: Script, acme: Customer, owner: Connection
) -> None:
    environment = alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S=NEVER_S)
    with running("alerter", environment) as process:
        await eventually(process.ready, what="readiness")
        await owner.execute("ALTER TABLE banners RENAME TO banners_away")
        await send_totals(producer, topics.totals)
        assert process.wait() == 70
        assert "the stream failed" in process.log
        assert 'relation "banners" does not exist' in process.log
