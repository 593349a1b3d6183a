"""An organization with many contracts: its changes are made in portions, between which others get their alerts."""

import pytest
from alerter.evaluation.evaluator import CHANGES_MAX, Evaluator
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.faults.broken_customers import make_customers
from support.services.alerter import Customer, banner, evaluator, firings

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
