"""Alerters that are killed at every step, alone or two at once: each threshold fires once, and no mail is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from alerter.queues.outbox import LEASE_S
from runtime.kafka.clients import open_producer
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.infra.service_process import alerter_environment, eventually, running
from support.infra.stack import Database, Topics
from support.services.alerter import MICRO, Customer, Script, age, banner, firings, make_customer, outbox, smtp_server
from support.services.alerter_process import NEVER_S, RECIPIENTS, send_totals, until_evaluated, until_notified

pytestmark = pytest.mark.slow
STEP = 4711  # the lock that stops the alerter


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


async def stop_at(owner: Connection, table: str, event: str, *, at_commit: bool = False) -> None:
    """Make a statement wait until the test releases the lock."""
    await owner.execute(
        "CREATE OR REPLACE FUNCTION stop_here() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        f" $$ BEGIN PERFORM pg_advisory_xact_lock({STEP}); RETURN NEW; END $$"
    )
    kind = "CONSTRAINT TRIGGER stop AFTER" if at_commit else "TRIGGER stop BEFORE"
    deferred = "DEFERRABLE INITIALLY DEFERRED" if at_commit else ""
    await owner.execute(f"CREATE {kind} {event} ON {table} {deferred} FOR EACH ROW EXECUTE FUNCTION stop_here()")


@asynccontextmanager
async def held_at(owner: Connection, mailbox: Script, acme: Customer, step: str) -> AsyncIterator[None]:
    """Inside the block, no process can pass `step`."""
    if step == "lock":
        await owner.execute("INSERT INTO alert_state VALUES ($1, now())", acme.number)
        async with owner.transaction():
            await owner.execute("SELECT FROM alert_state WHERE organization_id = $1 FOR UPDATE", acme.number)
            yield
        return
    if step == "data":
        mailbox.hold = asyncio.Event()
        yield
        mailbox.hold.set()
        mailbox.hold = None
        return
    table, event = {
        "firing": ("alert_firings", "INSERT"),
        "banner": ("banners", "INSERT"),
        "mails": ("email_outbox", "INSERT"),
        "commit": ("email_outbox", "INSERT"),
        "claim": ("email_outbox", "UPDATE"),
        "write down": ("email_attempts", "INSERT"),
    }[step]
    await stop_at(owner, table, event, at_commit=step == "commit")
    await owner.execute("SELECT pg_advisory_lock($1)", STEP)
    yield
    await owner.execute("SELECT pg_advisory_unlock($1)", STEP)
    await owner.execute(f"DROP TRIGGER stop ON {table}")


@pytest.mark.parametrize("step", ["lock", "firing", "banner", "mails", "commit", "claim", "data", "write down"])
async def test_killed_at_any_step_it_fires_once_and_loses_no_mail(
    database: Database, topics: Topics, producer: AIOKafkaProducer, mailbox: Script, acme: Customer, owner: Connection, step: str
) -> None:  # fmt: skip
    environment = alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S="0.5", CONSUMER_INSTANCE="one")
    await acme.use(92)
    async with (
        asyncpg.create_pool(database.dsn, min_size=1, max_size=1) as onlooker,
        held_at(owner, mailbox, acme, step),
    ):
        with running("alerter", environment) as process:

            async def reached() -> bool:
                return mailbox.holding == 3 if step == "data" else await waits_for_a_lock(onlooker)

            await eventually(reached, what=f"the alerter at the step {step!r}")
            process.kill()
    await age(owner, timedelta(seconds=LEASE_S))
    with running("alerter", environment):
        await until_notified(owner, mailbox, acme.number)
        assert await banner(owner, acme.number) == (90, 1)
        assert await firings(owner, acme.number) == [(75, 1, "bundled", None), (90, 1, "sent", None)]
    copies = len(mailbox.got) - 3
    assert {recipient for recipient, _ in mailbox.got} == RECIPIENTS
    assert len(set(mailbox.got)) == 3, "a copy under another Message-ID"
    assert copies == 0 or step in ("data", "write down"), "a copy although the result was known"


@pytest.mark.parametrize("step", ["lock", "firing", "mails", "commit"])
async def test_killed_while_it_evaluates_a_save_the_wakeup_comes_back_and_each_rule_fires_once(
    database: Database, topics: Topics, mailbox: Script, acme: Customer, owner: Connection, step: str
) -> None:
    environment = alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S=NEVER_S, CONSUMER_INSTANCE="one")
    today = datetime.now(UTC)
    await acme.save(at=today, usage_thresholds=[99])
    await owner.execute("DELETE FROM alert_wakeups")
    await acme.use(80, f"{today:%Y-%m-%d}")
    async with asyncpg.create_pool(database.dsn, min_size=1, max_size=1) as onlooker:
        with running("alerter", environment) as process:
            await eventually(process.ready, what="readiness")
            async with held_at(owner, mailbox, acme, step):
                await save_elsewhere(
                    database, acme, at=today, usage_thresholds=[75, 99], budget_recurring_credits=100 * MICRO,
                    budget_recipients_on=True, budget_recipients=["bob@finance.example"],
                )  # fmt: skip
                await eventually(lambda: waits_for_a_lock(onlooker), what=f"the alerter at the step {step!r}")
                process.kill()

    async def is_done() -> bool:
        return await owner.fetchval("SELECT count(*) FROM alert_wakeups") == 0

    with running("alerter", environment):
        await until_notified(owner, mailbox, acme.number, mails=7)
        await eventually(is_done, what="the wake-up's own transaction, which ends after those of the organizations")
    for rule in ("usage", "budget"):
        assert await firings(owner, acme.number, rule) == [(75, 1, "sent", None)]
    assert len(mailbox.got) == len(set(mailbox.got)) == 7


async def waits_for_a_lock(onlooker: Pool) -> bool:
    waiting = await onlooker.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'alerter'"
        " AND wait_event_type = 'Lock'"
    )
    return bool(waiting)


async def save_elsewhere(database: Database, customer: Customer, at: datetime, **settings: Any) -> None:
    """Save with its own connection, as another admin does."""
    connection = await asyncpg.connect(database.dsn)
    try:
        await Customer(TableRows(connection), customer.number).save(at=at, **settings)
    finally:
        await connection.close()


async def test_two_admins_save_during_crossings_and_kills_and_what_is_left_has_fired_once(
    database: Database, topics: Topics, producer: AIOKafkaProducer, mailbox: Script, acme: Customer, owner: Connection
) -> None:
    environment = alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S="0.5")
    today = datetime.now(UTC)

    async def turn(number: int) -> None:
        await asyncio.gather(
            save_elsewhere(database, acme, at=today, usage_thresholds=[50, 75] if number % 2 else [75, 90]),
            save_elsewhere(database, acme, at=today, budget_recurring_credits=(120 - number) * MICRO),
            acme.use(9, f"{today:%Y-%m-%d}"),
        )
        await send_totals(producer, topics.totals)

    with running("alerter", environment) as first:
        await eventually(first.ready, what="readiness")
        with running("alerter", environment) as second:
            for number in range(5):
                await turn(number)
            second.kill()
        with running("alerter", environment):
            for number in range(5, 12):
                await turn(number)
            first.kill()

            async def reached_level() -> bool:
                open_ones = await owner.fetch("SELECT rule, threshold FROM alert_firings WHERE resolved_at IS NULL")
                return {tuple(row) for row in open_ones} == {
                    ("usage", 50), ("usage", 75), ("budget", 75), ("budget", 90),
                }  # fmt: skip

            await eventually(reached_level, what="the thresholds of the last save")
            await age(owner, timedelta(seconds=LEASE_S))
            await eventually(lambda: all_mails_sent(owner), within_s=60, what="all mails")
    for rule in ("usage", "budget"):
        made = await firings(owner, acme.number, rule)
        assert len({(threshold, episode) for threshold, episode, *_ in made}) == len(made)
        assert [episode for threshold, episode, *_ in made if threshold == 75] == [1], "it was in every save"
    assert not await owner.fetchval("SELECT count(*) FROM alert_firings WHERE used * 100 < available * threshold")
    assert len(set(mailbox.got)) == await owner.fetchval("SELECT count(*) FROM email_outbox")


async def test_two_at_once_with_kills_between_fire_each_threshold_once(
    database: Database, topics: Topics, producer: AIOKafkaProducer, mailbox: Script, db: TableRows, owner: Connection
) -> None:
    environment = alerter_environment(database, topics, mailbox.port, SWEEP_INTERVAL_S="0.5")
    customers = {
        f"org_{number}": await make_customer(db, f"org_{number}", starts_on="2026-01-01", ends_on="2036-01-01")
        for number in range(8)
    }

    async def grow(credits: float) -> None:
        for name, customer in customers.items():
            await customer.use(credits)
            await send_totals(producer, topics.totals, name)

    with running("alerter", environment) as first:
        await eventually(first.ready, what="readiness")
        with running("alerter", environment) as second:
            await eventually(second.ready, within_s=40, what="readiness")
            await grow(76)
            second.kill()
        with running("alerter", environment):
            await grow(15)
            await grow(-40)
            await grow(60)
            first.kill()
            for customer in customers.values():
                await until_evaluated(owner, customer, 100)
                await age(owner, timedelta(seconds=LEASE_S))
            await eventually(lambda: all_mails_sent(owner), within_s=60, what="all mails")
    for customer in customers.values():
        fired = [(threshold, episode) for threshold, episode, *_ in await firings(owner, customer.number)]
        assert len(fired) == len(set(fired))
        open_ones = [
            threshold for threshold, _, _, resolution in await firings(owner, customer.number) if not resolution
        ]
        assert open_ones == [75, 90, 100]
        notified = await outbox(owner, customer.number)
        assert {threshold for threshold, _ in notified} >= {100}
    assert len(set(mailbox.got)) == await owner.fetchval("SELECT count(*) FROM email_outbox")


async def all_mails_sent(owner: Connection) -> bool:
    return not await owner.fetchval("SELECT count(*) FROM email_outbox WHERE state <> 'sent'")
