"""Levels in Postgres become firings, banners and mails exactly once, whichever alerter evaluates and however often."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from alerter.db.queries import claim_wakeups, read_states
from alerter.db.statements import SQL
from alerter.evaluation.wakeups import drain_wakeups
from runtime.postgres.pool import Connection, Pool, open_pool
from structlog.testing import capture_logs
from support.data.table_rows import Books
from support.infra.service_process import eventually
from support.infra.stack import Database
from support.services.alerter import MICRO, NOW, banner, evaluator, firings, make_customer, outbox

RECIPIENTS = ["admin@org-acme.example", "billing_moderator@org-acme.example", "super_admin@org-acme.example"]


async def test_a_firing_its_banner_and_its_mails_are_one(books: Books, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(books)
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


async def test_an_evaluation_asks_once_for_the_organizations_name(books: Books, database: Database) -> None:
    acme = await make_customer(books)
    await acme.use(120)
    sent: list[str] = []
    async with open_pool(
        database.roles["flexcredits_alerter"], application="test", size=2, statement_timeout_s=10,
        on_statement=lambda statement: sent.append(statement.query),
    ) as pool:  # fmt: skip
        assert await evaluator(pool).evaluate([acme.number], trigger="test") == 1
    assert sent.count(SQL["insert_firing"]) == 3
    assert sent.count(SQL["select_name"]) == 1


async def test_the_log_names_organization_and_period(books: Books, pool: Pool) -> None:
    acme = await make_customer(books)
    await acme.use(80)
    with capture_logs() as lines:
        await evaluator(pool).evaluate(None, trigger="test")
        await acme.use(-80)
        await evaluator(pool).evaluate(None, trigger="test")
    about = {"organization": "org_acme", "rule": "usage", "contract": "c1", "period": "p1", "threshold": 75}
    assert [line["event"] for line in lines] == ["alert fired", "alert resolved"]
    assert all(about.items() <= line.items() for line in lines), lines


async def test_two_thresholds_in_one_step_are_one_mail_and_two_records(
    books: Books, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(books)
    await acme.use(95)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await firings(owner, acme.number) == [(75, 1, "bundled", None), (90, 1, "sent", None)]
    assert await outbox(owner, acme.number) == [(90, to) for to in RECIPIENTS]


async def test_a_correction_resolves_and_crossing_again_is_a_new_episode(
    books: Books, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(books)
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


async def test_a_larger_contract_takes_the_banner_away(books: Books, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(books)
    await acme.use(100)
    await evaluator(pool).evaluate(None, trigger="test")
    await acme.set_total(500)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await banner(owner, acme.number) is None
    assert [resolution for *_, resolution in await firings(owner, acme.number)] == ["level"] * 3


async def test_included_add_ons_are_available_and_others_are_not(books: Books, pool: Pool, owner: Connection) -> None:
    number = await books.organization("org_added")
    await books.contract(number, "c1", "2026-01-01", "2027-01-01")
    await books.period(number, "c1", "p1", "2026-01-01", "2027-01-01", total=100, add_ons=[(20, True), (1000, False)])
    await books.use(number, "assistant", "tool", "search", "2026-11-01", 89 * MICRO)
    assert await evaluator(pool).evaluate([number], trigger="test") == 0
    await books.use(number, "agents", "tool", "search", "2026-11-01", 1 * MICRO)
    await evaluator(pool).evaluate([number], trigger="test")
    assert await owner.fetchval("SELECT available FROM alert_firings") == 120 * MICRO


async def test_a_period_is_the_sum_of_its_days_whatever_months_it_cuts(books: Books, pool: Pool) -> None:
    """Whole months are read from monthly rollups, the other days by day."""
    number = await books.organization()
    await books.contract(number, "c1", "2026-01-01", "2027-01-01")
    first = date(2026, 9, 25)
    for at in range(70):
        await books.use(number, "assistant", "tool", "search", f"{first + timedelta(days=at)}", MICRO << (at % 30))
    edges = [
        "2026-09-30",
        "2026-10-01",
        "2026-10-02",
        "2026-10-31",
        "2026-11-01",
        "2026-11-15",
        "2026-11-30",
        "2026-12-01",
    ]
    spans = [(since, until) for since in edges for until in edges if since < until]
    for since, until in spans:
        await books.period(number, "c1", f"{since}/{until}", since, until, total=1)
    async with pool.acquire() as connection:
        [state] = await read_states(connection, [number], date(2026, 12, 31), date.min)
    assert len(state.levels) == len(spans) == 28
    for level in state.levels:
        days = [at for at in range(70) if level.starts_on <= first + timedelta(days=at) < level.ends_on]
        assert level.used == sum(MICRO << (at % 30) for at in days), level.period


async def test_without_a_contract_or_its_amounts_nothing_alerts(books: Books, pool: Pool, owner: Connection) -> None:
    nothing = await make_customer(books, "org_nothing", total=None)
    await nothing.use(1_000_000)
    number = await books.organization("org_without")
    await books.use(number, "api", "namespace", "search", "2026-11-20", 10**15)
    assert await evaluator(pool).evaluate(None, trigger="test", history=True) == 0
    assert await owner.fetchval("SELECT count(*) FROM alert_firings") == 0


async def test_ended_months_send_no_mail_and_late_usage_of_a_recent_one_does(
    books: Books, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(books, total=10_000)
    for month in range(1, 13):
        await books.period(
            acme.number,
            "c1",
            f"month-{month}",
            f"2025-{month:02}-01",
            f"2025-{month % 12 + 1:02}-01" if month < 12 else "2026-01-01",
            total=10,
        )
        await acme.use(12, f"2025-{month:02}-10")
    await books.period(acme.number, "c1", "fresh", "2026-07-14", "2026-07-15", total=10)
    await acme.use(8, "2026-07-14")
    now = datetime(2026, 7, 17, 23, 59, tzinfo=UTC)
    await evaluator(pool, lambda: now).evaluate(None, trigger="test")
    await evaluator(pool, lambda: now).evaluate(None, trigger="test", history=True)
    assert await outbox(owner, acme.number) == [(75, to) for to in RECIPIENTS]
    assert await banner(owner, acme.number) is None
    assert (
        await owner.fetchval("SELECT mail_context->>'ended' FROM alert_firings WHERE mail_context IS NOT NULL")
        == "true"
    )
    notifications = [notification for _, _, notification, _ in await firings(owner, acme.number)]
    assert sorted(set(notifications)) == ["backfilled", "sent"]
    assert notifications.count("backfilled") == 36
    await acme.use(3, "2026-07-14")
    await evaluator(pool, lambda: now + timedelta(minutes=2)).evaluate(None, trigger="test")
    assert len(await outbox(owner, acme.number)) == 3, "72 hours after the end it is history"


async def test_a_period_that_ends_removes_its_banner_and_the_next_one_fires_again(
    books: Books, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(books, time_zone="Asia/Kathmandu")
    await books.period(acme.number, "c1", "p2", "2027-01-15", "2027-07-15", total=100)
    await acme.use(80)
    await acme.use(92, "2027-01-15")
    before = datetime(2027, 1, 14, 18, 14, 59, tzinfo=UTC)
    await evaluator(pool, lambda: before).evaluate(None, trigger="test")
    assert await banner(owner, acme.number) == (75, 1)
    await evaluator(pool, lambda: before + timedelta(seconds=1)).evaluate(None, trigger="test")
    assert await banner(owner, acme.number) == (90, 1)
    assert await firings(owner, acme.number) == [
        (75, 1, "sent", None),
        (75, 1, "bundled", None),
        (90, 1, "sent", None),
    ]


async def test_an_amendment_that_moves_a_periods_dates_does_not_fire_again(
    books: Books, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(books)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    for dates in ("starts_on = '2026-01-01'", "ends_on = '2028-01-01'", "ends_on = '2026-11-23'"):
        await books.execute(f"UPDATE credit_periods SET {dates}")
        await evaluator(pool).evaluate(None, trigger="test", history=True)
    assert await firings(owner, acme.number) == [(75, 1, "sent", None)]


async def test_a_contract_sent_again_with_other_ids_for_the_same_periods_sends_no_mail(
    books: Books, pool: Pool, owner: Connection
) -> None:
    customer = await make_customer(books)
    await customer.use(95)
    await evaluator(pool).evaluate(None, trigger="sweep")
    before = await firings(owner, customer.number), await outbox(owner, customer.number)
    for period in ("re-created", "p1", "again"):
        await owner.execute("UPDATE credit_periods SET credit_period_id = $1", period)
        for _ in range(2):
            await evaluator(pool).evaluate(None, trigger="wakeup")
        assert (await firings(owner, customer.number), await outbox(owner, customer.number)) == before
        assert await banner(owner, customer.number) == (90, 1)
        assert await owner.fetchval("SELECT period_id FROM banners") == period
        assert await owner.fetch("SELECT FROM alert_firings WHERE period_id <> $1", period) == []
    await customer.use(5)
    await evaluator(pool).evaluate(None, trigger="wakeup")
    assert [threshold for threshold, *_ in await firings(owner, customer.number)] == [75, 90, 100]
    # Other dates are another period; firings of the old one are resolved.
    await owner.execute("UPDATE credit_periods SET credit_period_id = 'other', starts_on = starts_on + 1")
    await evaluator(pool).evaluate(None, trigger="wakeup")
    assert {resolution for *_, resolution in (await firings(owner, customer.number))[:3]} == {"removed"}


async def rename(owner: Connection, number: int, *names: tuple[str, str]) -> None:
    """Write a new version of the contract's credit periods with other ids."""
    for before, _ in names:
        await owner.execute("UPDATE credit_periods SET credit_period_id = $3 WHERE (organization_id, credit_period_id) = ($1, $2)", number, before, f"new {before}")  # fmt: skip
    for before, after in names:
        await owner.execute("UPDATE credit_periods SET credit_period_id = $3 WHERE (organization_id, credit_period_id) = ($1, $2)", number, f"new {before}", after)  # fmt: skip


async def where(owner: Connection, year: int) -> list[tuple[Any, ...]]:
    """Period id and resolution of a year's firings."""
    rows = await owner.fetch(
        "SELECT DISTINCT period_id, resolution FROM alert_firings WHERE starts_on = $1", date(year, 1, 1)
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("both_fired", [False, True])
async def test_ids_that_a_new_version_shifts_send_no_mail_and_suppress_none(
    books: Books, pool: Pool, owner: Connection, both_fired: bool
) -> None:
    acme = await make_customer(books, starts_on="2025-01-01", ends_on="2026-01-01")
    await books.period(acme.number, "c1", "p2", "2026-01-01", "2027-01-01", total=100)
    await acme.use(100 if both_fired else 1, "2025-05-05")
    await acme.use(80)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="wakeup", history=True)
    before = await outbox(owner, acme.number)
    await owner.execute("DELETE FROM credit_periods WHERE credit_period_id = 'p1'")
    await rename(owner, acme.number, ("p2", "p1"))
    await books.period(acme.number, "c1", "p2", "2027-01-01", "2028-01-01", total=100)
    for _ in range(2):
        await alerter.evaluate(None, trigger="wakeup", history=True)
    assert await outbox(owner, acme.number) == before == [(75, to) for to in RECIPIENTS]
    assert await where(owner, 2026) == [("p1", None)]
    assert await where(owner, 2025) == ([("p1 2025-01-01/2026-01-01", "removed")] if both_fired else [])
    assert await owner.fetchval("SELECT period_id FROM banners") == "p1"
    await acme.use(15)
    await alerter.evaluate(None, trigger="totals")
    assert await outbox(owner, acme.number) == before + [(90, to) for to in RECIPIENTS]
    assert await owner.fetch("SELECT FROM quarantine") == []


async def test_ids_that_two_periods_exchange_take_what_fired_along(books: Books, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(books, starts_on="2025-01-01", ends_on="2026-01-01")
    await books.period(acme.number, "c1", "p2", "2026-01-01", "2027-01-01", total=100)
    await acme.use(80, "2025-05-05")
    await acme.use(95)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="wakeup", history=True)
    before = await firings(owner, acme.number), await outbox(owner, acme.number)
    for since, now in (("p2", "p1"), ("p1", "p2"), ("p2", "p1")):
        await rename(owner, acme.number, ("p1", "p2"), ("p2", "p1"))
        await alerter.evaluate(None, trigger="wakeup", history=True)
        assert (await firings(owner, acme.number), await outbox(owner, acme.number)) == before
        assert (await where(owner, 2025), await where(owner, 2026)) == ([(since, None)], [(now, None)])
    for used in (-80, 80, -80):
        await acme.use(used)
        await acme.use(used, "2025-05-05")
        await alerter.evaluate(None, trigger="wakeup", history=True)
    assert await owner.fetch("SELECT FROM quarantine") == []
    assert await owner.fetchval("SELECT count(*) FROM alert_firings WHERE resolved_at IS NULL") == 0


async def test_an_id_that_fired_before_its_firings_were_adopted_fires_again(
    books: Books, pool: Pool, owner: Connection
) -> None:
    """Ids of alert events and mails contain the period of the firing, and are unique."""
    acme = await make_customer(books)
    await acme.use(80)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="wakeup")
    await rename(owner, acme.number, ("p1", "q1"))
    await acme.use(15)
    await alerter.evaluate(None, trigger="wakeup")
    await owner.execute("UPDATE credit_periods SET credit_period_id = 'p1', starts_on = starts_on + 1")
    for _ in range(2):
        await alerter.evaluate(None, trigger="wakeup")
    assert await owner.fetch("SELECT FROM quarantine") == []
    assert await banner(owner, acme.number) == (90, 1)
    rows = await owner.fetch(
        "SELECT period_id, threshold, episode, resolution FROM alert_firings ORDER BY starts_on, threshold"
    )
    assert [tuple(row) for row in rows] == [
        ("q1", 75, 1, "removed"), ("q1", 90, 1, "removed"), ("p1", 75, 2, None), ("p1", 90, 1, None),
    ]  # fmt: skip
    await acme.use(-90)
    await alerter.evaluate(None, trigger="wakeup")
    await acme.use(75)
    await alerter.evaluate(None, trigger="wakeup")
    assert await banner(owner, acme.number) == (75, 3)
    assert len(await outbox(owner, acme.number)) == 12


async def test_a_period_that_an_amendment_removes_is_resolved(books: Books, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(books)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    await books.execute("DELETE FROM credit_periods")
    await evaluator(pool).evaluate(None, trigger="test")
    assert await firings(owner, acme.number) == [(75, 1, "sent", "removed")]
    assert await banner(owner, acme.number) is None
    assert await evaluator(pool).evaluate(None, trigger="test") == 0


async def test_thresholds_are_the_organizations_own_settings(books: Books, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(books)
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
    books: Books, pool: Pool, owner: Connection, deployment: bool, organization: bool, moderators: int
) -> None:
    acme = await make_customer(books, billing_moderators=organization)
    await acme.use(80)
    await evaluator(pool, billing_moderators=deployment).evaluate(None, trigger="test")
    assert len(await outbox(owner, acme.number)) == 2 + moderators


async def test_former_members_and_members_without_a_role_are_not_mailed_and_no_recipient_is_recorded(
    books: Books, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(books)
    await books.execute("UPDATE members SET removed = true WHERE role <> 'member'")
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await firings(owner, acme.number) == [(75, 1, "sent", None)]
    assert await outbox(owner, acme.number) == []
    assert await banner(owner, acme.number) == (75, 1)


async def test_many_evaluators_at_once_fire_once(books: Books, pool: Pool, owner: Connection) -> None:
    customers = [await make_customer(books, f"org_{number}") for number in range(4)]
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


async def test_levels_are_read_after_the_lock_is_held(books: Books, pool: Pool, owner: Connection) -> None:
    """An evaluation that waited for the lock uses the levels after the wait, not those before."""
    acme = await make_customer(books)
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
    books: Books, database: Database, owner: Connection
) -> None:
    customers = [await make_customer(books, f"org_{number}") for number in range(3)]
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
    books: Books, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(books)
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
    books: Books, pool: Pool, owner: Connection
) -> None:
    customers = [await make_customer(books, f"org_{number}") for number in range(3)]
    for customer in customers:
        await customer.use(80)
    await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES (0)")
    await drain_wakeups(pool, evaluator(pool))
    assert [await banner(owner, customer.number) for customer in customers] == [(75, 1)] * 3


async def test_two_drain_without_waiting_for_each_other(books: Books, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(books)
    await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES ($1)", acme.number)
    async with pool.acquire() as connection, connection.transaction():
        assert await claim_wakeups(connection, 10) == {acme.number}
        await asyncio.wait_for(drain_wakeups(pool, evaluator(pool)), 5)


async def test_the_mail_names_the_three_features_that_used_most(books: Books, pool: Pool, owner: Connection) -> None:
    number = await books.organization("org_acme")
    await books.contract(number, "c1", "2026-01-01", "2027-01-01")
    await books.period(number, "c1", "p1", "2026-01-01", "2027-01-01", total=100, assistant=60, agents=40)
    await books.feature(number, "assistant", "model", "opus", "2026-01-01", name="Claude Opus")
    await books.feature(0, "assistant", "model", "opus", "2026-06-01", name="Opus for all")
    await books.feature(0, "agents", "tool", "jira", "2027-06-01", name="Not yet")
    for product, kind, feature, credits in (
        ("assistant", "model", "opus", 40),
        ("agents", "tool", "jira", 30),
        ("api", "namespace", "Search", 4),
        ("assistant", "tool", "x", 3),
    ):
        for agent in ("a", "b"):
            await books.use(number, product, kind, feature, "2026-11-01", credits * MICRO // 2, agent=agent)
    await books.use(number, "assistant", "tool", "x", "2025-12-31", 10**12)
    await evaluator(pool).evaluate(None, trigger="test")
    context = json.loads(await owner.fetchval("SELECT mail_context FROM alert_firings WHERE mail_context IS NOT NULL"))
    assert [(driver["product"], driver["name"], driver["credits"]) for driver in context["drivers"]] == [
        ("assistant", "Claude Opus", 40 * MICRO), ("agents", "jira", 30 * MICRO), ("api", "Search", 4 * MICRO),
    ]  # fmt: skip
    assert [(row["product"], row["contracted"], row["used"]) for row in context["products"]] == [
        ("assistant", 60 * MICRO, 43 * MICRO), ("agents", 40 * MICRO, 30 * MICRO), ("api", None, 4 * MICRO),
    ]  # fmt: skip


async def test_a_feature_with_more_refunds_than_usage_is_not_among_those_that_used_most(
    books: Books, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(books)
    await acme.use(80)
    await acme.use(-3, product="agents")
    await acme.use(2, product="api")
    await acme.use(-2, product="api")
    await evaluator(pool).evaluate(None, trigger="test")
    context = json.loads(await owner.fetchval("SELECT mail_context FROM alert_firings WHERE mail_context IS NOT NULL"))
    assert [(driver["product"], driver["credits"]) for driver in context["drivers"]] == [("assistant", 80 * MICRO)]


@pytest.mark.parametrize(
    ("starts_on", "ends_on", "used"),
    [
        ("2026-07-15", "2026-12-15", ["07-15", "07-31", "08-01", "10-31", "12-01", "12-14"]),
        ("2026-08-01", "2026-12-01", ["08-01", "10-31", "11-30"]),
        ("2026-11-02", "2026-11-30", ["11-02", "11-29"]),
        ("2026-10-20", "2026-11-25", ["10-20", "10-31", "11-01", "11-24"]),
    ],
)
async def test_a_mail_adds_up_the_days_of_the_period_and_no_other(
    books: Books, pool: Pool, owner: Connection, starts_on: str, ends_on: str, used: list[str]
) -> None:
    acme = await make_customer(books, starts_on=starts_on, ends_on=ends_on)
    for day in (
        "07-14", "07-15", "07-31", "08-01", "10-19", "10-20", "10-31", "11-01", "11-02", "11-24", "11-25", "11-29",
        "11-30", "12-01", "12-14", "12-15",
    ):  # fmt: skip
        inside = starts_on <= f"2026-{day}" < ends_on
        await acme.use(80 / len(used) if day in used else 0.01 if inside else 1000, f"2026-{day}")
    await evaluator(pool).evaluate(None, trigger="test")
    context = json.loads(await owner.fetchval("SELECT mail_context FROM alert_firings WHERE mail_context IS NOT NULL"))
    assert [driver["credits"] for driver in context["drivers"]] == [context["used"]]
    assert context["products"][0]["used"] == context["used"] < 81 * MICRO


async def test_the_role_may_change_nothing_but_its_own_tables(pool: Pool) -> None:
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')"
        )
        assert {row["relname"] for row in rows} == {
            "alert_state", "alert_firings", "banners", "email_outbox", "email_attempts", "alert_wakeups",
            "mail_requests", "alert_events", "alert_deliveries", "alert_delivery_attempts", "quarantine",
        }  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM alert_firings")
