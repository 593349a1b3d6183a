"""Levels in Postgres become firings, banners and mails exactly once, whichever alerter evaluates and however often."""

import asyncio

import asyncpg
import pytest
from alerter.db.queries import claim_wakeups
from alerter.db.statements import SQL
from alerter.evaluation.wakeups import drain_wakeups
from runtime.postgres.pool import Connection, Pool, open_pool
from structlog.testing import capture_logs
from support.data.table_rows import TableRows
from support.infra.service_process import eventually
from support.infra.stack import Database
from support.services.alerter import MICRO, NOW, banner, evaluator, firings, make_customer, outbox

RECIPIENTS = ["admin@org-acme.example", "billing_moderator@org-acme.example", "super_admin@org-acme.example"]


async def test_a_firing_its_banner_and_its_mails_are_one(db: TableRows, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(db)
    await acme.use(74.999999)
    assert await evaluator(pool).evaluate([acme.number], trigger="test") == 0
    await acme.use(0.000001)
    assert await evaluator(pool).evaluate([acme.number], trigger="test") == 1
    assert await firings(owner, acme.number) == [(75, 1, "sent", None)]
    assert await banner(owner, acme.number) == (75, 1)
    assert await outbox(owner, acme.number) == [(75, to) for to in RECIPIENTS]
    row = await owner.fetchrow("SELECT * FROM alert_firings")
    assert (row["used"], row["available"], row["fired_at"]) == (75 * MICRO, 100 * MICRO, NOW)
    stamps = await owner.fetch(
        "SELECT DISTINCT xmin FROM email_outbox UNION SELECT xmin FROM alert_firings UNION SELECT xmin FROM banners"
    )
    assert len(stamps) == 1, "written by more than one transaction"
    assert await evaluator(pool).evaluate(None, trigger="test") == 0


async def test_an_evaluation_asks_once_for_the_organizations_name(db: TableRows, database: Database) -> None:
    acme = await make_customer(db)
    await acme.use(120)
    sent: list[str] = []
    async with open_pool(
        database.roles["flexcredits_alerter"], application="test", size=2, statement_timeout_s=10,
        on_statement=lambda statement: sent.append(statement.query),
    ) as pool:  # fmt: skip
        assert await evaluator(pool).evaluate([acme.number], trigger="test") == 1
    assert sent.count(SQL["insert_firing"]) == 3
    assert sent.count(SQL["select_name"]) == 1


async def test_the_log_names_organization_and_period(db: TableRows, pool: Pool) -> None:
    acme = await make_customer(db)
    await acme.use(80)
    with capture_logs() as lines:
        await evaluator(pool).evaluate(None, trigger="test")
        await acme.use(-80)
        await evaluator(pool).evaluate(None, trigger="test")
    about = {"organization": "org_acme", "rule": "usage", "contract": "c1", "period": "p1", "threshold": 75}
    assert [line["event"] for line in lines] == ["alert fired", "alert resolved"]
    assert all(about.items() <= line.items() for line in lines), lines


async def test_two_thresholds_in_one_step_are_one_mail_and_two_records(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db)
    await acme.use(95)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await firings(owner, acme.number) == [(75, 1, "bundled", None), (90, 1, "sent", None)]
    assert await outbox(owner, acme.number) == [(90, to) for to in RECIPIENTS]


async def test_a_correction_resolves_and_crossing_again_is_a_new_episode(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db)
    evaluate = evaluator(pool).evaluate
    await acme.use(95)
    await evaluate(None, trigger="test")
    await acme.use(-10)
    await evaluate(None, trigger="test")
    assert await firings(owner, acme.number) == [(75, 1, "bundled", None), (90, 1, "sent", "level")]
    assert await banner(owner, acme.number) == (75, 1)
    await acme.use(-80)
    await evaluate(None, trigger="test")
    assert await banner(owner, acme.number) is None
    await acme.use(90)
    await evaluate(None, trigger="test")
    assert await firings(owner, acme.number) == [
        (75, 1, "bundled", "level"), (90, 1, "sent", "level"), (75, 2, "bundled", None), (90, 2, "sent", None),
    ]  # fmt: skip
    ids = [row["message_id"] for row in await owner.fetch("SELECT message_id FROM email_outbox")]
    assert len(set(ids)) == len(ids) == 6


async def test_a_larger_contract_takes_the_banner_away(db: TableRows, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(db)
    await acme.use(100)
    await evaluator(pool).evaluate(None, trigger="test")
    await acme.set_total(500)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await banner(owner, acme.number) is None
    assert [resolution for *_, resolution in await firings(owner, acme.number)] == ["level"] * 3


async def test_included_add_ons_are_available_and_others_are_not(db: TableRows, pool: Pool, owner: Connection) -> None:
    number = await db.organization("org_added")
    await db.contract(number, "c1", "2026-01-01", "2027-01-01")
    await db.period(number, "c1", "p1", "2026-01-01", "2027-01-01", total=100, add_ons=[(20, True), (1000, False)])
    await db.use(number, "assistant", "tool", "search", "2026-11-01", 89 * MICRO)
    assert await evaluator(pool).evaluate([number], trigger="test") == 0
    await db.use(number, "agents", "tool", "search", "2026-11-01", 1 * MICRO)
    await evaluator(pool).evaluate([number], trigger="test")
    assert await owner.fetchval("SELECT available FROM alert_firings") == 120 * MICRO


async def test_add_ons_beyond_a_bigint_do_not_stop_the_other_rule(db: TableRows, pool: Pool, owner: Connection) -> None:
    rich = await make_customer(db, total=None)
    for position in range(10):
        await db.execute(
            "INSERT INTO add_ons (organization_id, contract_id, credit_period_id, position, name, credits, included)"
            " VALUES ($1, 'c1', 'p1', $2, 'more', $3, true)",
            rich.number, position, 10**12 * MICRO,
        )  # fmt: skip
    await rich.set_budget(100)
    await rich.use(100)
    await evaluator(pool).evaluate([rich.number], trigger="test")
    assert [threshold for threshold, *_ in await firings(owner, rich.number, "budget")] == [75, 90, 100]
    assert await firings(owner, rich.number) == []
    await rich.use(8 * 10**12)
    await evaluator(pool).evaluate([rich.number], trigger="test")
    assert [threshold for threshold, *_ in await firings(owner, rich.number)] == [75]
    assert await owner.fetchval("SELECT available FROM alert_firings WHERE rule = 'usage'") == 2**63 - 1


async def test_without_a_contract_or_its_amounts_nothing_alerts(db: TableRows, pool: Pool, owner: Connection) -> None:
    nothing = await make_customer(db, "org_nothing", total=None)
    await nothing.use(1_000_000)
    number = await db.organization("org_without")
    await db.use(number, "api", "namespace", "search", "2026-11-20", 10**15)
    assert await evaluator(pool).evaluate(None, trigger="test", history=True) == 0
    assert await owner.fetchval("SELECT count(*) FROM alert_firings") == 0


async def test_thresholds_are_the_organizations_own_settings(db: TableRows, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(db)
    await acme.set_thresholds(10, 150)
    await acme.use(99)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await firings(owner, acme.number) == [(10, 1, "sent", None)]
    await acme.set_thresholds()
    await evaluator(pool).evaluate(None, trigger="test")
    assert await firings(owner, acme.number) == [(10, 1, "sent", "removed")]
    assert await banner(owner, acme.number) is None


@pytest.mark.parametrize(
    ("deployment", "organization", "moderators"), [(True, True, 1), (True, False, 0), (False, True, 0)]
)
async def test_billing_moderators_are_mailed_only_where_both_enable_them(
    db: TableRows, pool: Pool, owner: Connection, deployment: bool, organization: bool, moderators: int
) -> None:
    acme = await make_customer(db, billing_moderators=organization)
    await acme.use(80)
    await evaluator(pool, billing_moderators=deployment).evaluate(None, trigger="test")
    assert len(await outbox(owner, acme.number)) == 2 + moderators


async def test_former_members_and_members_without_a_role_are_not_mailed_and_no_recipient_is_recorded(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db)
    await db.execute("UPDATE members SET removed = true WHERE role <> 'member'")
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await firings(owner, acme.number) == [(75, 1, "sent", None)]
    assert await outbox(owner, acme.number) == []
    assert await banner(owner, acme.number) == (75, 1)


async def test_many_evaluators_at_once_fire_once(db: TableRows, pool: Pool, owner: Connection) -> None:
    customers = [await make_customer(db, f"org_{number}") for number in range(4)]
    for step in (75, 15, -20, 40):
        for customer in customers:
            await customer.use(step)
        await asyncio.gather(*(evaluator(pool).evaluate(None, trigger="test") for _ in range(8)))
    for customer in customers:
        assert await firings(owner, customer.number) == [
            (75, 1, "sent", "level"), (90, 1, "sent", "level"), (75, 2, "bundled", None), (90, 2, "bundled", None),
            (100, 1, "sent", None),
        ]  # fmt: skip
        assert len(await outbox(owner, customer.number)) == 9


async def test_levels_are_read_after_the_lock_is_held(db: TableRows, pool: Pool, owner: Connection) -> None:
    """An evaluation that waited for the lock uses the levels after the wait, not those before."""
    acme = await make_customer(db)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    async with owner.transaction():
        await owner.execute("SELECT FROM alert_state WHERE organization_id = $1 FOR UPDATE", acme.number)
        await acme.use(15)
        evaluating = asyncio.create_task(evaluator(pool).evaluate_one(acme.number))
        await eventually(lambda: waits_for_a_lock(pool), what="an evaluation that waits")
        await acme.use(-15)
    await evaluating
    assert await firings(owner, acme.number) == [(75, 1, "sent", None)]


async def test_an_organization_whose_lock_is_held_keeps_no_other_waiting(
    db: TableRows, database: Database, owner: Connection
) -> None:
    customers = [await make_customer(db, f"org_{number}") for number in range(3)]
    dsn = database.roles["flexcredits_alerter"]
    async with open_pool(dsn, application="alerter", size=2, statement_timeout_s=1) as hasty:
        await evaluator(hasty).evaluate_one(customers[0].number)
        for customer in customers:
            await customer.use(80)
        async with owner.transaction():
            await owner.execute("SELECT FROM alert_state FOR UPDATE")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await evaluator(hasty).evaluate(None, trigger="test")
            assert [await banner(owner, customer.number) for customer in customers] == [None, (75, 1), (75, 1)]
        await evaluator(hasty).evaluate(None, trigger="test")
    assert await banner(owner, customers[0].number) == (75, 1)


async def waits_for_a_lock(pool: Pool) -> bool:
    count = await pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(count)


async def test_wakeups_are_drained_and_come_back_when_the_evaluation_fails(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db)
    await acme.use(80)
    await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES ($1), ($1), ($1)", acme.number)
    async with pool.acquire() as connection:
        interrupted = connection.transaction()
        await interrupted.start()
        assert await claim_wakeups(connection, 10) == {acme.number}
        await interrupted.rollback()
    await drain_wakeups(pool, evaluator(pool))
    assert await firings(owner, acme.number) == [(75, 1, "sent", None)]
    assert await owner.fetchval("SELECT count(*) FROM alert_wakeups") == 0


async def test_a_deployment_wide_wakeup_evaluates_all_organizations(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    customers = [await make_customer(db, f"org_{number}") for number in range(3)]
    for customer in customers:
        await customer.use(80)
    await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES (0)")
    await drain_wakeups(pool, evaluator(pool))
    assert [await banner(owner, customer.number) for customer in customers] == [(75, 1)] * 3


async def test_two_drain_without_waiting_for_each_other(db: TableRows, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(db)
    await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES ($1)", acme.number)
    async with pool.acquire() as connection, connection.transaction():
        assert await claim_wakeups(connection, 10) == {acme.number}
        await asyncio.wait_for(drain_wakeups(pool, evaluator(pool)), 5)


async def test_the_role_may_change_nothing_but_its_own_tables(pool: Pool) -> None:
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')"
        )
        assert {row["relname"] for row in rows} == {
            "alert_state", "alert_firings", "banners", "email_outbox", "email_attempts", "alert_wakeups",
            "mail_requests", "alert_events", "alert_deliveries", "alert_delivery_attempts", "quarantine",
            "alert_projections",
        }  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM alert_firings")
