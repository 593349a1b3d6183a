"""No zone or date that an organization's rows contain delays the alerts of others."""

from datetime import UTC, datetime, timedelta

import pytest
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.services.alerter import NOW, evaluator, firings, make_customer, outbox

EAST, WEST = "Pacific/Kiritimati", "Pacific/Pago_Pago"


@pytest.mark.parametrize("zone", ["posix/Europe/Berlin", "right/Asia/Tokyo", "localtime", "Factory", "EST5EDT", "Nowhere", "US/Pacific"])  # fmt: skip
async def test_a_zone_that_postgres_may_not_know_evaluates_like_any(
    db: TableRows, pool: Pool, owner: Connection, zone: str
) -> None:
    odd, acme = await make_customer(db, "org_odd", zone), await make_customer(db)
    for customer in (odd, acme):
        await customer.set_budget(100)
        await customer.use(95)
    assert await evaluator(pool).evaluate(None, trigger="test", history=True) == 2
    for customer in (odd, acme):
        assert [threshold for threshold, *_ in await firings(owner, customer.number)] == [75, 90]
        assert [threshold for threshold, *_ in await firings(owner, customer.number, "budget")] == [75, 90]
        assert len(await outbox(owner, customer.number)) == 6


@pytest.mark.parametrize("zone", [EAST, WEST])
@pytest.mark.parametrize(("starts_on", "ends_on"), [("2026-01-01", "9999-12-31"), ("0001-01-01", "9999-12-31"), ("0001-01-01", "2027-01-01")])  # fmt: skip
async def test_a_contract_at_the_edges_of_the_calendar_alerts(
    db: TableRows, pool: Pool, owner: Connection, zone: str, starts_on: str, ends_on: str
) -> None:
    """Older events had such dates; an open end is accepted."""
    acme = await make_customer(db, time_zone=zone, starts_on=starts_on, ends_on=ends_on)
    await acme.use(95)
    assert await evaluator(pool).evaluate(None, trigger="test", history=True) == 1
    assert await firings(owner, acme.number) == [(75, 1, "bundled", None), (90, 1, "sent", None)]


@pytest.mark.parametrize(
    ("zone", "saved_at", "months"),
    [
        (EAST, datetime(2026, 10, 31, 9, 59, tzinfo=UTC), ["2026-10", "2026-11"]),
        (EAST, datetime(2026, 10, 31, 10, 0, tzinfo=UTC), ["2026-11"]),
        (WEST, datetime(2026, 11, 1, 10, 59, tzinfo=UTC), ["2026-10", "2026-11"]),
        (WEST, datetime(2026, 11, 1, 11, 0, tzinfo=UTC), ["2026-11"]),
        ("America/Vancouver", datetime(2026, 11, 1, 6, 59, tzinfo=UTC), ["2026-10", "2026-11"]),
        # Midnight of 1 December is at 07:00 UTC: daylight time has stayed since 1 November 2026.
        ("America/Vancouver", datetime(2026, 12, 1, 6, 59, tzinfo=UTC), ["2026-11", "2026-12"]),
        ("America/Vancouver", datetime(2026, 12, 1, 7, 0, tzinfo=UTC), ["2026-12"]),
    ],
)
async def test_a_budget_holds_from_the_month_of_the_zone_in_which_it_was_saved(
    db: TableRows, pool: Pool, owner: Connection, zone: str, saved_at: datetime, months: list[str]
) -> None:
    acme = await make_customer(db, time_zone=zone, total=None)
    await acme.save(saved_at, budget_recurring_credits=1_000_000)
    for day in ("2026-09-15", "2026-10-15", "2026-11-15", "2026-12-15"):
        await acme.use(1, day)
    evaluate = evaluator(pool, lambda: max(NOW, saved_at + timedelta(days=1))).evaluate
    await evaluate([acme.number], trigger="test", history=True)
    rows = await owner.fetch("SELECT DISTINCT period_id FROM alert_firings ORDER BY 1")
    assert [row["period_id"] for row in rows] == months
