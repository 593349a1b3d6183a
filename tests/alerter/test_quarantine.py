"""If one organization's rows make an evaluation fail, the others' alerts are complete and in time."""

import json
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from alerter.db.statements import SQL
from alerter.evaluation.retry import retry_quarantined
from alerter.evaluation.wakeups import drain_wakeups
from alerter.faust.stream import read_organizations
from alerter.queues.quarantine import Quarantine
from prometheus_client import REGISTRY
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.faults.broken_customers import come_due, make_customers, raise_for, rows
from support.services.alerter import (
    MICRO,
    Customer,
    banner,
    evaluator,
    firings,
    outbox,
)

pytestmark = pytest.mark.expected_errors("many organizations are set aside")

FIRED = [(75, 1, "bundled", None), (90, 1, "sent", None)]
HUGE = 5_000_000_000_000_000_000


async def sum_beyond_bigint(owner: Connection, customer: Customer) -> Callable[[], Any]:
    for product in ("agents", "api"):
        await customer.use(HUGE / MICRO, product=product)

    async def heal() -> None:
        for product in ("agents", "api"):
            await customer.use(-HUGE / MICRO, product=product)

    return heal


async def wake(owner: Connection, customer: Customer) -> None:
    await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES ($1)", customer.number)


async def assert_all_notified(owner: Connection, customers: list[Customer]) -> None:
    for customer in customers:
        assert await firings(owner, customer.number) == FIRED
        assert await banner(owner, customer.number) == (90, 1)
        assert len(await outbox(owner, customer.number)) == 3


BREAKS: dict[str, Callable[[Connection, Customer], Any]] = {
    "a sum beyond bigint": sum_beyond_bigint,
    "a firing that cannot be written": lambda owner, customer: raise_for(owner, customer, "alert_firings"),
    "a banner that cannot be written": lambda owner, customer: raise_for(owner, customer, "banners"),
    "a mail that cannot be written": lambda owner, customer: raise_for(owner, customer, "email_outbox"),
    "a notice that cannot be written": lambda owner, customer: raise_for(owner, customer, "alert_events"),
}


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("healed_by", ["wake-up", "release"])
async def test_who_cannot_be_evaluated_is_set_aside_and_evaluated_once_healed(
    db: TableRows, pool: Pool, owner: Connection, how: str, healed_by: str
) -> None:
    *others, broken = await make_customers(db)
    heal = await BREAKS[how](owner, broken)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="sweep")
    await assert_all_notified(owner, others)
    assert await rows(owner) == [("org_broken", "evaluate", 1)]
    for customer in others:
        await customer.use(10)
    await alerter.evaluate(None, trigger="sweep")
    await alerter.evaluate([customer.number for customer in (*others, broken)], trigger="totals")
    assert [await banner(owner, customer.number) for customer in others] == [(100, 1)] * 3
    assert await rows(owner) == [("org_broken", "evaluate", 1)], "retried before its time"
    await come_due(owner)
    await retry_quarantined(pool, alerter)
    assert await rows(owner) == [("org_broken", "evaluate", 2)]
    assert await owner.fetchval("SELECT retry_at > now() + interval '9 s' FROM quarantine")
    assert await firings(owner, broken.number) == []
    await heal()
    if healed_by == "wake-up":
        await wake(owner, broken)
        await drain_wakeups(pool, alerter)
    else:
        await come_due(owner)
        await retry_quarantined(pool, alerter)
    await assert_all_notified(owner, [broken])
    assert await rows(owner) == []
    await alerter.evaluate(None, trigger="rollover", history=True)
    await retry_quarantined(pool, alerter)
    assert REGISTRY.get_sample_value("flexcredits_alerter_quarantined", {"step": "evaluate"}) == 0
    await assert_all_notified(owner, [broken])


async def test_others_wakeups_are_done_once_and_leave_the_table(db: TableRows, pool: Pool, owner: Connection) -> None:
    *others, broken = await make_customers(db)
    heal = await sum_beyond_bigint(owner, broken)
    for customer in (broken, *others):
        await wake(owner, customer)
    alerter = evaluator(pool)
    await drain_wakeups(pool, alerter)
    await assert_all_notified(owner, others)
    assert await owner.fetchval("SELECT count(*) FROM alert_wakeups") == 0
    assert await rows(owner) == [("org_broken", "wakeup", 1)]
    await wake(owner, broken)
    await drain_wakeups(pool, alerter)
    assert await rows(owner) == [("org_broken", "wakeup", 2)], "a change of its own triggers a retry"
    await heal()
    await come_due(owner)
    await retry_quarantined(pool, alerter)
    await assert_all_notified(owner, [broken])
    assert await rows(owner) == []


async def test_an_old_period_that_raises_stops_no_evaluation_of_the_present(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    *others, broken = await make_customers(db)
    await db.period(broken.number, "c1", "ancient", "2020-01-01", "2021-01-01", total=1)
    for product in ("agents", "api"):
        await broken.use(HUGE / MICRO, "2020-05-05", product)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="rollover", history=True)
    assert await rows(owner) == [("org_broken", "wakeup", 1)]
    await alerter.evaluate(None, trigger="sweep")
    await assert_all_notified(owner, [*others, broken])
    assert await rows(owner) == [("org_broken", "wakeup", 1)]


@pytest.mark.parametrize(("known", "failing"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 5)])
async def test_however_many_fail_all_others_are_notified(
    db: TableRows, pool: Pool, owner: Connection, known: int, failing: int
) -> None:
    """One defective product may affect most of a few customers. The process continues, is not ready, and names the reason."""
    customers = await make_customers(db, known)
    heal = [await sum_beyond_bigint(owner, customer) for customer in customers[:failing]]
    alerter = evaluator(pool)
    for _ in range(2):
        await alerter.evaluate(None, trigger="sweep")
    assert [at[1:] for at in await rows(owner)] == [("evaluate", 1)] * failing
    await assert_all_notified(owner, customers[failing:])
    await alerter.quarantine.measure()
    assert alerter.quarantine.widespread == f"evaluate fails for {failing} of {known} organizations"
    for heal_one in heal:
        await heal_one()
    await owner.execute(SQL["retry_all"])
    await retry_quarantined(pool, alerter)
    await assert_all_notified(owner, customers)
    assert alerter.quarantine.widespread is None


async def slow_for(owner: Connection, *customers: Customer) -> Callable[[], Any]:
    """Create a trigger that fails like a statement timeout; returns a function that removes it."""
    numbers = [customer.number for customer in customers]
    await owner.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.organization_id = ANY (ARRAY{numbers}) THEN RAISE 'slow' USING ERRCODE = '57014'; END IF; RETURN NEW; END $$;"
        " CREATE TRIGGER slow BEFORE INSERT ON alert_firings FOR EACH ROW EXECUTE FUNCTION slow()"
    )

    async def heal() -> None:
        await owner.execute("DROP FUNCTION slow CASCADE")

    return heal


async def test_an_evaluation_that_takes_too_long_is_put_off_for_its_organization_alone(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    *others, broken = await make_customers(db)
    heal = await slow_for(owner, broken)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="sweep")
    await assert_all_notified(owner, others)
    assert await rows(owner) == [("org_broken", "evaluate", 1)]
    await heal()
    await come_due(owner)
    await retry_quarantined(pool, alerter)
    await assert_all_notified(owner, [*others, broken])


async def test_a_server_that_is_slow_for_all_quarantines_no_organization(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    customers = await make_customers(db)
    heal = await slow_for(owner, *customers)
    with pytest.raises(asyncpg.QueryCanceledError):
        await evaluator(pool).evaluate(None, trigger="sweep")
    assert await rows(owner) == []
    await heal()
    await evaluator(pool).evaluate(None, trigger="sweep")
    await assert_all_notified(owner, customers)


@pytest.mark.parametrize("all_slow", [False, True])
async def test_reading_that_takes_too_long_for_one_and_for_all(
    db: TableRows, pool: Pool, owner: Connection, all_slow: bool
) -> None:
    *others, broken = await make_customers(db)
    await evaluator(pool).evaluate(None, trigger="sweep")
    slow = [customer.number for customer in (*others, broken)] if all_slow else [broken.number]
    await owner.execute(
        "CREATE FUNCTION slow(number integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
        f" IF number = ANY (ARRAY{slow}) THEN RAISE 'slow' USING ERRCODE = '57014'; END IF; RETURN true; END $$;"
        "CREATE POLICY slow ON banners AS RESTRICTIVE TO flexcredits_alerter USING (slow(organization_id))"
    )
    for customer in others:
        await customer.use(-50)
    if all_slow:
        with pytest.raises(asyncpg.QueryCanceledError):
            await evaluator(pool).evaluate(None, trigger="sweep")
        assert await rows(owner) == []
    else:
        await evaluator(pool).evaluate(None, trigger="sweep")
        assert await rows(owner) == [("org_broken", "evaluate", 1)]
        assert [await banner(owner, customer.number) for customer in others] == [None] * 3


async def test_a_statement_that_does_not_fit_the_schema_stops_the_process(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    await make_customers(db)
    await owner.execute("ALTER TABLE alert_firings RENAME COLUMN mail_context TO mail_context_of_a_newer_release")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await evaluator(pool).evaluate(None, trigger="sweep")
    assert await rows(owner) == []


async def test_a_reason_is_one_line_without_what_is_secret(db: TableRows, pool: Pool, owner: Connection) -> None:
    *_, broken = await make_customers(db)
    await raise_for(owner, broken, "alert_firings")
    await evaluator(pool).evaluate(None, trigger="sweep")
    assert await owner.fetchval("SELECT reason FROM quarantine") == "RaiseError: broken row"
    secret = ValueError("https://hooks.slack.com/services/SECRET")
    await Quarantine(pool).add("channel", {broken.number: secret})
    assert await owner.fetchval("SELECT reason FROM quarantine WHERE step = 'channel'") == "ValueError"


def test_names_that_postgres_does_not_take_are_left_to_the_sweep() -> None:
    values = [json.dumps({"organization": name}).encode() for name in ("org_acme", "a\0b", "\ud800")]
    assert read_organizations(values) == {"org_acme"}
