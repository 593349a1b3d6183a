"""Monthly budgets: they fire once a month in the organization's zone, send mail, never raise a banner, and resolve when the budget is removed."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from alerter.db.email_queries import RECIPIENTS_MAX
from alerter.evaluation.wakeups import drain_wakeups
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.services.alerter import MICRO, NOW, banner, evaluator, firings, make_customer, outbox

RECIPIENTS = ["admin@org-acme.example", "billing_moderator@org-acme.example", "super_admin@org-acme.example"]


async def test_a_budget_is_met_at_its_exact_level_and_only_mails(db: TableRows, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(db, total=1_000_000)
    await acme.set_budget(100)
    await acme.use(1000, "2026-10-31")
    await acme.use(74.999999, "2026-11-01")
    assert await evaluator(pool).evaluate([acme.number], trigger="test") == 0
    await acme.use(0.000001, "2026-11-22")
    assert await evaluator(pool).evaluate([acme.number], trigger="test") == 1
    assert await firings(owner, acme.number, "budget") == [(75, 1, "sent", None)]
    assert await outbox(owner, acme.number) == [(75, to) for to in RECIPIENTS]
    assert await banner(owner, acme.number) is None
    row = await owner.fetchrow("SELECT * FROM alert_firings")
    assert (row["contract_id"], row["period_id"], f"{row['starts_on']}", f"{row['ends_on']}") == (
        "", "2026-11", "2026-11-01", "2026-12-01",
    )  # fmt: skip
    assert (row["used"], row["available"]) == (75 * MICRO, 100 * MICRO)
    context = json.loads(row["mail_context"])
    assert (context["rule"], context["elapsed_permille"], context["drivers"][0]["credits"]) == (
        "budget",
        716,
        75 * MICRO,
    )
    assert [product["contracted"] for product in context["products"]] == [None] * 3
    assert await evaluator(pool).evaluate(None, trigger="test", history=True) == 0


async def test_usage_and_budget_fire_side_by_side_and_neither_outranks_the_other(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db, total=100)
    await acme.set_budget(95)
    await acme.use(92)
    await evaluator(pool).evaluate(None, trigger="test")
    both = [(75, 1, "bundled", None), (90, 1, "sent", None)]
    assert await firings(owner, acme.number) == both
    assert await firings(owner, acme.number, "budget") == both
    assert await outbox(owner, acme.number) == [(90, to) for to in RECIPIENTS] * 2
    assert await banner(owner, acme.number) == (90, 1)
    await acme.use(-5)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await firings(owner, acme.number) == [(75, 1, "bundled", None), (90, 1, "sent", "level")]
    assert await firings(owner, acme.number, "budget") == both


async def test_without_a_contract_a_budget_still_counts(db: TableRows, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(db, total=None)
    await acme.set_budget(100)
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await firings(owner, acme.number, "budget") == [(75, 1, "sent", None)]


async def test_a_budget_that_is_exceeded_when_it_is_saved_fires_at_once_and_once(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db, total=None)
    await acme.use(1000)
    await acme.set_budget(100, budget_thresholds=[50, 120])
    await drain_wakeups(pool, evaluator(pool))
    assert await firings(owner, acme.number, "budget") == [(50, 1, "bundled", None), (120, 1, "sent", None)]


async def test_a_larger_budget_resolves_and_no_budget_removes(db: TableRows, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(db, total=None)
    evaluate = evaluator(pool).evaluate
    await acme.set_budget(100)
    await acme.use(95)
    await evaluate(None, trigger="test")
    await acme.set_budget(120)
    await evaluate(None, trigger="test")
    assert await firings(owner, acme.number, "budget") == [(75, 1, "bundled", None), (90, 1, "sent", "level")]
    await acme.set_budget(None)
    await evaluate(None, trigger="test")
    assert await firings(owner, acme.number, "budget") == [(75, 1, "bundled", "removed"), (90, 1, "sent", "level")]
    assert await evaluate(None, trigger="test", history=True) == 0
    await acme.set_budget(120)
    await evaluate(None, trigger="test")
    assert (await firings(owner, acme.number, "budget"))[2:] == [(75, 2, "sent", None)]


async def test_a_save_that_leaves_a_threshold_as_it_is_keeps_its_state(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db, total=None)
    await acme.set_budget(100)
    await acme.use(95)
    await evaluator(pool).evaluate(None, trigger="test")
    await acme.save(budget_thresholds=[50, 75, 90], budget_recipients=["bob@acme.example"], usage_thresholds=[])
    await drain_wakeups(pool, evaluator(pool))
    assert await firings(owner, acme.number, "budget") == [
        (75, 1, "bundled", None), (90, 1, "sent", None), (50, 1, "suppressed", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [("Asia/Kathmandu", "2026-11-30T18:15Z"), ("America/St_Johns", "2026-12-01T03:30Z"), ("UTC", "2026-12-01T00:00Z")],
)
async def test_a_month_begins_and_ends_at_midnight_of_the_organization(
    db: TableRows, pool: Pool, owner: Connection, zone: str, midnight: str
) -> None:
    acme = await make_customer(db, time_zone=zone, total=None)
    await acme.set_budget(100)
    await acme.use(80, "2026-11-30")
    await acme.use(92, "2026-12-01")
    at = datetime.fromisoformat(midnight)
    await evaluator(pool, lambda: at - timedelta(microseconds=1)).evaluate(None, trigger="test")
    assert await owner.fetchval("SELECT string_agg(period_id, ' ') FROM alert_firings") == "2026-11"
    await evaluator(pool, lambda: at).evaluate(None, trigger="test")
    rows = await owner.fetch("SELECT period_id, threshold, notification FROM alert_firings ORDER BY firing_id")
    assert [tuple(row) for row in rows] == [
        ("2026-11", 75, "sent"), ("2026-12", 75, "bundled"), ("2026-12", 90, "sent"),
    ]  # fmt: skip


async def test_a_budget_for_once_replaces_the_recurring_one_in_its_month_only(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db, total=None)
    await acme.set_budget(100)
    await acme.set_budget_once(1000, "2026-11")
    await acme.use(80, "2026-11-20")
    await acme.use(80, "2026-12-02")
    await evaluator(pool).evaluate(None, trigger="test")
    assert await firings(owner, acme.number, "budget") == []
    december = datetime(2026, 12, 2, 12, tzinfo=UTC)
    await evaluator(pool, lambda: december).evaluate(None, trigger="test", history=True)
    rows = await owner.fetch("SELECT period_id, available, notification FROM alert_firings")
    assert [tuple(row) for row in rows] == [("2026-12", 100 * MICRO, "sent")]


async def test_a_budget_for_once_without_a_recurring_one_is_off_the_next_month(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db, total=None)
    await acme.set_budget_once(100, "2026-11")
    await acme.use(80, "2026-11-20")
    await acme.use(80, "2026-12-20")
    await evaluator(pool).evaluate(None, trigger="test")
    for day in (1, 20):
        december = datetime(2026, 12, day, 12, tzinfo=UTC)
        await evaluator(pool, lambda at=december: at).evaluate(None, trigger="test", history=True)  # type: ignore[misc]
    assert await firings(owner, acme.number, "budget") == [(75, 1, "sent", None)]


async def test_late_usage_mails_for_72_hours_after_the_month_and_is_history_then(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db, total=None)
    await acme.set_budget(100)
    end = datetime(2026, 12, 1, tzinfo=UTC)
    await acme.use(80, "2026-11-20")
    late = evaluator(pool, lambda: end + timedelta(hours=71, minutes=59))
    await late.evaluate(None, trigger="test")
    assert await firings(owner, acme.number, "budget") == [(75, 1, "sent", None)]
    context = json.loads(await owner.fetchval("SELECT mail_context FROM alert_firings"))
    assert (context["ended"], context["period"]["id"], context["elapsed_permille"]) == (True, "2026-11", 1000)
    await acme.use(30, "2026-11-20")
    later = evaluator(pool, lambda: end + timedelta(hours=72))
    await later.evaluate(None, trigger="test")
    assert (await firings(owner, acme.number, "budget"))[1:] == [
        (90, 1, "backfilled", None),
        (100, 1, "backfilled", None),
    ]
    assert len(await outbox(owner, acme.number)) == 3


async def test_a_save_says_nothing_about_months_that_had_ended(db: TableRows, pool: Pool, owner: Connection) -> None:
    """A recurring budget applies to the current and future months; firings of earlier months stay."""
    acme = await make_customer(db, total=None)
    await acme.set_budget(100)
    await acme.use(80, "2026-11-20")
    await acme.use(500, "2026-10-20")
    await evaluator(pool).evaluate(None, trigger="test", history=True)
    assert await firings(owner, acme.number, "budget") == [(75, 1, "sent", None)]
    december = datetime(2026, 12, 1, 9, tzinfo=UTC)
    for change in (
        {"budget_recurring_credits": 10 * MICRO},
        {"budget_thresholds": []},
        {"budget_recurring_credits": None},
    ):
        await acme.save(at=december, **change)
        await drain_wakeups(pool, evaluator(pool, lambda: december))
        await evaluator(pool, lambda: december).evaluate(None, trigger="test", history=True)
        assert await firings(owner, acme.number, "budget") == [(75, 1, "sent", None)]


async def test_role_holders_and_the_rules_own_list_are_notified_once(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db, total=100)
    await acme.save(
        budget_recurring_credits=100 * MICRO, budget_recipients_on=True,
        budget_recipients=["Bob@Finance.example", "bob@finance.EXAMPLE", "ADMIN@org-acme.example"],
        usage_recipients_on=False, usage_recipients=["carol@finance.example"],
    )  # fmt: skip
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    rows = await owner.fetch(
        "SELECT f.rule, e.recipient, e.is_additional FROM email_outbox e JOIN alert_firings f USING (firing_id) ORDER BY 1 DESC, 2"
    )
    notifications = [("usage", to, False) for to in RECIPIENTS] + [("budget", "Bob@Finance.example", True)]
    assert sorted(tuple(row) for row in rows) == sorted(notifications + [("budget", to, False) for to in RECIPIENTS])
    assert await owner.fetchval("SELECT count(DISTINCT message_id) FROM email_outbox") == 7


async def test_a_firing_has_a_limited_number_of_recipients(db: TableRows, pool: Pool, owner: Connection) -> None:
    """Super Admins and the rule's own list precede Admins."""
    acme = await make_customer(db)
    await acme.save(usage_recipients_on=True, usage_recipients=["zoe@finance.example"])
    await db.execute(
        "INSERT INTO members (organization_id, email, name, role, removed, event_at, event_offset)"
        " SELECT $1, 'a' || n || '@acme.example', 'A', 'admin', false, now(), 0 FROM generate_series(1, $2) AS n",
        acme.number, RECIPIENTS_MAX,
    )  # fmt: skip
    await db.member(acme.number, "zz@acme.example", "super_admin")
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    found = {row["recipient"] for row in await owner.fetch("SELECT recipient FROM email_outbox")}
    assert len(found) == RECIPIENTS_MAX
    assert found >= {"zoe@finance.example", "zz@acme.example"}


async def test_without_role_holders_the_list_is_notified(db: TableRows, pool: Pool, owner: Connection) -> None:
    acme = await make_customer(db, members=False)
    await acme.save(usage_recipients_on=True, usage_recipients=["carol@finance.example"])
    await acme.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    assert await outbox(owner, acme.number) == [(75, "carol@finance.example")]


async def test_the_defaults_of_the_deployment_hold_until_an_organization_saves_its_own(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme, other = await make_customer(db), await make_customer(db, "org_other")
    await db.execute(
        "UPDATE alert_settings SET updated_at = $1, usage_thresholds = '{50}', budget_recurring_credits = $2,"
        " usage_recipients_on = true, usage_recipients = '{all@flex.example}' WHERE organization_id = 0",
        NOW, 100 * MICRO,
    )  # fmt: skip
    await acme.save(usage_thresholds=[60])
    for customer in (acme, other):
        await customer.use(80)
    await evaluator(pool).evaluate(None, trigger="test")
    assert [await firings(owner, acme.number, rule) for rule in ("usage", "budget")] == [[(60, 1, "sent", None)], []]
    assert [await firings(owner, other.number, rule) for rule in ("usage", "budget")] == [
        [(50, 1, "sent", None)], [(75, 1, "sent", None)],
    ]  # fmt: skip
    assert "all@flex.example" not in {to for _, to in await outbox(owner, acme.number)}
    assert "all@flex.example" in {to for _, to in await outbox(owner, other.number)}


async def test_saves_during_a_crossing_fire_each_threshold_that_is_left_once(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    """Two admins and usage at the same time, with several evaluators: in the end, the met thresholds are open, each once."""
    acme = await make_customer(db, total=100)
    await acme.set_budget(100)
    running = True

    async def evaluate() -> None:
        while running:
            await drain_wakeups(pool, evaluator(pool))
            await evaluator(pool).evaluate([acme.number], trigger="test")

    evaluating = [asyncio.create_task(evaluate()) for _ in range(3)]
    try:
        for turn in range(12):
            await acme.use(7)
            await acme.save(usage_thresholds=[50, 75, 80] if turn % 2 else [75, 90])
            await acme.set_budget(100 - turn, budget_thresholds=[75] if turn % 3 else [40, 75])
    finally:
        running = False
        await asyncio.gather(*evaluating)
    await evaluator(pool).evaluate(None, trigger="test")
    for rule, met in (("usage", [50, 75, 80]), ("budget", [75])):
        made = await firings(owner, acme.number, rule)
        assert len({(threshold, episode) for threshold, episode, *_ in made}) == len(made)
        assert sorted(threshold for threshold, _, _, resolution in made if resolution is None) == met
        kept = [(episode, notification) for threshold, episode, notification, _ in made if threshold == 75]
        assert len(kept) == 1, "75 was in every save: it keeps its state"
    early = await owner.fetchval("SELECT count(*) FROM alert_firings WHERE used * 100 < available * threshold")
    assert early == 0
