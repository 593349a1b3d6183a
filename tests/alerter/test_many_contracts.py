"""An organization with many contracts: its changes are made in portions, and from some thousand on it is evaluated alone. Meanwhile
others get their alerts."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

import asyncpg
import pytest
from alerter.db.queries import list_crowded
from alerter.domain.projected import StoredProjection
from alerter.domain.thresholds import Period
from alerter.evaluation.due import TOGETHER_MAX
from alerter.evaluation.evaluator import CHANGES_MAX, MAILS_MAX, Evaluator, horizon
from alerter.evaluation.projector import Projector
from alerter.evaluation.requests import answer_requests
from alerter.evaluation.wakeups import drain_wakeups
from alerter.queues.rotation import Rotation
from runtime.postgres.pool import Connection, Pool, open_pool
from support.data.table_rows import TableRows
from support.faults.broken_customers import make_customers, rows
from support.infra.stack import Database
from support.services.alerter import NOW, Customer, banner, evaluator, firings

CONTRACTS = 2 * CHANGES_MAX


async def add_contracts(owner: Connection, customer: Customer, many: int) -> None:
    """Copies of its contract and credit period."""
    for table in ("contracts", "credit_periods"):
        rows = await owner.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1 AND is_generated = 'NEVER'", table
        )
        names = [row["column_name"] for row in rows]
        values = ["contract_id || n" if name == "contract_id" else name for name in names]
        await owner.execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM {table}, generate_series(1, {many}) n"
            f" WHERE organization_id = {customer.number}"
        )


async def changes(owner: Connection, customer: Customer) -> int:
    """Firings, and those that were resolved once more."""
    found: int = await owner.fetchval(
        "SELECT count(*) + count(resolved_at) FROM alert_firings WHERE organization_id = $1", customer.number
    )
    return found


async def finish(evaluating: Evaluator, owner: Connection, customer: Customer) -> list[int]:
    """Evaluates what is left; returns how many changes there were after each portion."""
    made = []
    while evaluating.left:
        history = evaluating.left.pop(customer.number)
        await evaluating.evaluate([customer.number], trigger="left", history=history)
        made.append(await changes(owner, customer))
    return made


@pytest.mark.parametrize("trigger", ["sweep", "wakeup", "rollover"])
async def test_others_are_alerted_between_portions_of_one_organizations_changes(
    db: TableRows, pool: Pool, owner: Connection, trigger: str
) -> None:
    first, second = await make_customers(db, 2)
    await add_contracts(owner, first, CONTRACTS)
    evaluating, history = evaluator(pool), trigger != "sweep"
    await evaluating.evaluate(None, trigger=trigger, history=history)
    assert await banner(owner, second.number) == (90, 1)
    assert len(await firings(owner, second.number)) == 2
    assert await changes(owner, first) <= CHANGES_MAX
    assert evaluating.left == {first.number: history}
    shown = await banner(owner, first.number)
    assert shown == (90, 1), "the banner of what has fired"
    portions = await finish(evaluating, owner, first)
    assert len(portions) == -(-2 * (CONTRACTS + 1) // CHANGES_MAX) - 1
    assert await changes(owner, first) == 2 * (CONTRACTS + 1)
    sent = await owner.fetch(
        "SELECT contract_id, threshold, count(*) FROM alert_firings WHERE organization_id = $1 AND notification = 'sent'"
        " GROUP BY 1, 2", first.number
    )  # fmt: skip
    assert {(row["threshold"], row["count"]) for row in sent} == {(90, 1)}
    assert len(sent) == CONTRACTS + 1
    assert await evaluator(pool).evaluate(None, trigger="test", history=True) == 0

    await owner.execute("DELETE FROM credit_periods WHERE organization_id = $1 AND contract_id <> 'c1'", first.number)
    before = await changes(owner, first)
    await evaluating.evaluate(None, trigger=trigger, history=history)
    assert await changes(owner, first) == before + CHANGES_MAX
    await finish(evaluating, owner, first)
    assert await changes(owner, first) == before + 2 * CONTRACTS
    assert await banner(owner, first.number) == (90, 1)
    assert await evaluator(pool).evaluate(None, trigger="test", history=True) == 0


async def test_what_is_left_is_made_in_turn_and_after_a_restart_by_the_sweep(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    customers = await make_customers(db, 2)
    for customer in customers:
        await add_contracts(owner, customer, CONTRACTS)
    before = evaluator(pool)
    await before.evaluate(None, trigger="sweep")
    after = evaluator(pool)  # without what the one before has left
    sweeps = 0
    while await after.evaluate(None, trigger="sweep"):
        sweeps += 1
        done = [await changes(owner, customer) for customer in customers]
        assert abs(done[0] - done[1]) <= CHANGES_MAX
    assert sweeps > 2
    assert done == [2 * (CONTRACTS + 1)] * 2
    await after.evaluate_left()
    assert not after.left


async def test_a_timer_makes_what_is_left(db: TableRows, pool: Pool, owner: Connection) -> None:
    first, _ = await make_customers(db, 2)
    await add_contracts(owner, first, CONTRACTS)
    evaluating = evaluator(pool)
    await evaluating.evaluate(None, trigger="sweep")
    runs = 0
    while evaluating.left:
        await evaluating.evaluate_left()
        runs += 1
        assert runs < 100
    assert await changes(owner, first) == 2 * (CONTRACTS + 1)


@pytest.mark.parametrize("trigger", ["totals", "sweep", "wakeup", "rollover"])
async def test_an_organization_with_thousands_of_contracts_is_evaluated_alone(
    db: TableRows, pool: Pool, owner: Connection, trigger: str
) -> None:
    first, second = await make_customers(db, 2)
    await add_contracts(owner, first, TOGETHER_MAX)
    await owner.execute("INSERT INTO alert_wakeups (organization_id) VALUES ($1), ($2)", first.number, second.number)
    evaluating = evaluator(pool)
    if trigger == "wakeup":
        await drain_wakeups(pool, evaluating)
    else:
        both = [first.number, second.number] if trigger == "totals" else None
        await evaluating.evaluate(both, trigger=trigger, history=trigger == "rollover")
    assert await banner(owner, second.number) == (90, 1)
    assert await changes(owner, first) == 0
    assert evaluating.left == {first.number: trigger in ("wakeup", "rollover")}
    await evaluating.evaluate_left()
    made = await changes(owner, first)  # in one turn, or in several if they are short
    assert made > 0
    assert made % CHANGES_MAX == 0
    assert await banner(owner, first.number) == (90, 1)
    assert await rows(owner) == []


async def test_firings_count_as_well_and_old_periods_only_with_history(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    first, second = await make_customers(db, 2)
    days, all_days = horizon(NOW, history=False), horizon(NOW, history=True)
    await add_contracts(owner, first, 9)
    assert await list_crowded(pool, None, *days, 9) == {first.number}
    assert await list_crowded(pool, [second.number], *days, 9) == set()
    assert await list_crowded(pool, None, *days, 10) == set()
    await owner.execute("UPDATE credit_periods SET ends_on = '2026-08-01' WHERE contract_id <> 'c1'")
    assert await list_crowded(pool, None, *days, 9) == set()
    assert await list_crowded(pool, None, *all_days, 9) == {first.number}
    await evaluator(pool).evaluate(None, trigger="test")
    assert await list_crowded(pool, None, *days, 2) == {first.number, second.number}, "a period and two firings"
    await owner.execute("DELETE FROM credit_periods")
    assert await list_crowded(pool, None, *days, 1) == {first.number, second.number}, (
        "firings of a period that was removed"
    )


async def test_others_are_alerted_between_portions_of_one_organizations_mails(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    first, second = await make_customers(db, 2)
    await add_contracts(owner, first, 8)
    await owner.execute(
        "INSERT INTO members SELECT $1, n || '@acme.example', '', 'admin', false, now(), 0 FROM generate_series(1, 600) n",
        first.number,
    )
    evaluating = evaluator(pool)
    await evaluating.evaluate(None, trigger="sweep")
    assert await banner(owner, second.number) == (90, 1)
    mails, portions = "SELECT count(*) FROM email_outbox WHERE organization_id = $1", list[int]()
    while evaluating.left:
        portions.append(await owner.fetchval(mails, first.number) - sum(portions))
        await evaluating.evaluate_left()
        await asyncio.sleep(0.01)
    assert await owner.fetchval(mails, first.number) == 9 * 603
    assert max(portions) <= MAILS_MAX
    assert await changes(owner, first) == 2 * 9


async def slow_down(owner: Connection, customer: Customer, seconds: float) -> None:
    """Statements that read the customer's credit period take so long."""
    await owner.execute(
        "CREATE POLICY slow ON credit_periods AS RESTRICTIVE FOR SELECT TO flexcredits_alerter USING"
        f" (CASE WHEN organization_id = {customer.number} THEN pg_sleep({seconds}) IS NOT NULL ELSE true END)"
    )


async def test_an_organization_whose_turn_was_long_rests_while_others_have_theirs(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    first, second = await make_customers(db, 2)
    await slow_down(owner, first, 0.7)
    evaluating = evaluator(pool)
    evaluating.left = {first.number: False, second.number: False}
    await evaluating.evaluate_left()
    assert len(await firings(owner, first.number)) == 2
    assert evaluating.left == {second.number: False}, "its turn took longer than a run"
    evaluating.left = {first.number: False, second.number: False}
    await evaluating.evaluate_left()
    assert len(await firings(owner, second.number)) == 2
    assert evaluating.left == {first.number: False}


async def test_of_many_current_periods_one_is_projected_and_once_a_day(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    """Only one projection of each rule is stored: several periods would replace each other's with every sweep."""
    first, second = await make_customers(db, 2)
    await db.progress(0, NOW)
    for customer in (first, second):
        for before in range(3, 40):
            await customer.use(1, f"{(NOW - timedelta(days=before)).date()}")
        await customer.set_total(200)
        await customer.save(usage_projected_thresholds=[100], usage_thresholds=[])
    await add_contracts(owner, first, 50)
    computed = list[Period]()

    async def compute(
        project: Callable[[], Mapping[Period, StoredProjection]],
    ) -> Mapping[Period, StoredProjection]:
        made = await asyncio.to_thread(project)
        computed.extend(made)
        return made

    evaluating = evaluator(pool)
    projector = Projector(pool, evaluating, "usage.events.v1", lambda: NOW, compute)
    for _ in range(2):
        await evaluating.evaluate(None, trigger="sweep")
        while evaluating.unprojected:
            await projector.tick()
    assert len(computed) == 2


async def test_a_test_mail_of_one_whose_levels_take_long_delays_no_others(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    first, second = await make_customers(db, 2)
    await slow_down(owner, first, 30)
    for customer in (first, second):
        await owner.execute(
            "INSERT INTO mail_requests (organization_id, kind, rule, recipient) VALUES ($1, 'test', 'usage', 'ada@acme.example')",
            customer.number,
        )
    turns = Rotation()
    async with asyncio.timeout(8):
        await answer_requests(pool, "flex.example", lambda: NOW, turns)
        await answer_requests(pool, "flex.example", lambda: NOW, turns)
    assert await owner.fetchval("SELECT count(*) FROM email_outbox WHERE organization_id = $1", second.number) == 1
    assert await rows(owner) == [("org_0", "request", 1)]


async def test_what_is_left_stays_left_after_a_passing_failure(
    db: TableRows, database: Database, owner: Connection
) -> None:
    """Else its other changes wait for the sweep, and those of periods that ended long ago for the rollover."""
    first, _ = await make_customers(db, 2)
    await add_contracts(owner, first, CONTRACTS)
    async with open_pool(
        database.roles["flexcredits_alerter"], application="test", size=2, statement_timeout_s=2
    ) as pool:
        evaluating = evaluator(pool)
        await evaluating.evaluate([first.number], trigger="wakeup", history=True)
        made = await changes(owner, first)
        async with owner.transaction():
            await owner.execute("SELECT FROM alert_state WHERE organization_id = $1 FOR UPDATE", first.number)
            with pytest.raises(asyncpg.LockNotAvailableError):
                await evaluating.evaluate_left()
        assert evaluating.left == {first.number: True}
        await evaluating.evaluate_left()
        assert await changes(owner, first) > made


async def test_an_organization_that_had_a_portion_comes_after_the_others(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    """A sweep has time for some organizations only."""
    customers = await make_customers(db, 3)
    for customer in customers[:2]:
        await add_contracts(owner, customer, CONTRACTS)
    evaluating = evaluator(pool)
    await evaluating.evaluate([customer.number for customer in customers[:2]], trigger="sweep")
    await evaluating.evaluate(None, trigger="sweep")
    written = await owner.fetch("SELECT organization_id FROM alert_firings GROUP BY 1 ORDER BY max(firing_id)")
    assert [row["organization_id"] for row in written] == [
        customers[2].number,
        *(each.number for each in customers[:2]),
    ]
