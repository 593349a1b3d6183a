"""Credit periods that begin, end, change their dates or their ids: what fires again, and what does not."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from alerter.db.queries import read_states
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.services.alerter import MICRO, banner, evaluator, firings, make_customer, outbox

RECIPIENTS = ["admin@org-acme.example", "billing_moderator@org-acme.example", "super_admin@org-acme.example"]


async def test_a_period_is_the_sum_of_its_days_whatever_months_it_cuts(db: TableRows, pool: Pool) -> None:
    """Whole months are read from monthly rollups, the other days by day."""
    number = await db.organization()
    await db.contract(number, "c1", "2026-01-01", "2027-01-01")
    first = date(2026, 9, 25)
    for at in range(70):
        await db.use(number, "assistant", "tool", "search", f"{first + timedelta(days=at)}", MICRO << (at % 30))
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
        await db.period(number, "c1", f"{since}/{until}", since, until, total=1)
    async with pool.acquire() as connection:
        [state] = await read_states(connection, [number], date(2026, 12, 31), date.min)
    assert len(state.levels) == len(spans) == 28
    for level in state.levels:
        days = [at for at in range(70) if level.starts_on <= first + timedelta(days=at) < level.ends_on]
        assert level.used == sum(MICRO << (at % 30) for at in days), level.period


async def test_ended_months_send_no_mail_and_late_usage_of_a_recent_one_does(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db, total=10_000)
    for month in range(1, 13):
        await db.period(
            acme.number,
            "c1",
            f"month-{month}",
            f"2025-{month:02}-01",
            f"2025-{month % 12 + 1:02}-01" if month < 12 else "2026-01-01",
            total=10,
        )
        await acme.use(12, f"2025-{month:02}-10")
    await db.period(acme.number, "c1", "fresh", "2026-07-14", "2026-07-15", total=10)
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
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db, time_zone="Asia/Kathmandu")
    await db.period(acme.number, "c1", "p2", "2027-01-15", "2027-07-15", total=100)
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
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    for dates in ("starts_on = '2026-01-01'", "ends_on = '2028-01-01'", "ends_on = '2026-11-23'"):
        await db.execute(f"UPDATE credit_periods SET {dates}")
        await evaluator(pool).evaluate(None, trigger="test", history=True)
    assert await firings(owner, acme.number) == [(75, 1, "sent", None)]


async def test_a_contract_sent_again_with_other_ids_for_the_same_periods_sends_no_mail(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    customer = await make_customer(db)
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
    db: TableRows, pool: Pool, owner: Connection, both_fired: bool
) -> None:
    acme = await make_customer(db, starts_on="2025-01-01", ends_on="2026-01-01")
    await db.period(acme.number, "c1", "p2", "2026-01-01", "2027-01-01", total=100)
    await acme.use(100 if both_fired else 1, "2025-05-05")
    await acme.use(80)
    alerter = evaluator(pool)
    await alerter.evaluate(None, trigger="wakeup", history=True)
    before = await outbox(owner, acme.number)
    await owner.execute("DELETE FROM credit_periods WHERE credit_period_id = 'p1'")
    await rename(owner, acme.number, ("p2", "p1"))
    await db.period(acme.number, "c1", "p2", "2027-01-01", "2028-01-01", total=100)
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


async def test_ids_that_two_periods_exchange_take_what_fired_along(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db, starts_on="2025-01-01", ends_on="2026-01-01")
    await db.period(acme.number, "c1", "p2", "2026-01-01", "2027-01-01", total=100)
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
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    """Ids of alert events and mails contain the period of the firing, and are unique."""
    acme = await make_customer(db)
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


async def test_a_period_that_an_amendment_removes_is_resolved(db: TableRows, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(db)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    await db.execute("DELETE FROM credit_periods")
    await evaluator(pool).evaluate(None, trigger="test")
    assert await firings(owner, acme.number) == [(75, 1, "sent", "removed")]
    assert await banner(owner, acme.number) is None
    assert await evaluator(pool).evaluate(None, trigger="test") == 0
