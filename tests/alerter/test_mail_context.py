"""The features with the most usage, as a firing's mails name them."""

import json

import pytest
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.services.alerter import MICRO, evaluator, make_customer


async def test_the_mail_names_the_three_features_that_used_most(db: TableRows, pool: Pool, owner: Connection) -> None:
    number = await db.organization("org_acme")
    await db.contract(number, "c1", "2026-01-01", "2027-01-01")
    await db.period(number, "c1", "p1", "2026-01-01", "2027-01-01", total=100, assistant=60, agents=40)
    await db.feature(number, "assistant", "model", "opus", "2026-01-01", name="Claude Opus")
    await db.feature(0, "assistant", "model", "opus", "2026-06-01", name="Opus for all")
    await db.feature(0, "agents", "tool", "jira", "2027-06-01", name="Not yet")
    for product, kind, feature, credits in (
        ("assistant", "model", "opus", 40),
        ("agents", "tool", "jira", 30),
        ("api", "namespace", "Search", 4),
        ("assistant", "tool", "x", 3),
    ):
        for agent in ("a", "b"):
            await db.use(number, product, kind, feature, "2026-11-01", credits * MICRO // 2, agent=agent)
    await db.use(number, "assistant", "tool", "x", "2025-12-31", 10**12)
    await evaluator(pool).evaluate(None, trigger="test")
    context = json.loads(await owner.fetchval("SELECT mail_context FROM alert_firings WHERE mail_context IS NOT NULL"))
    assert [(driver["product"], driver["name"], driver["credits"]) for driver in context["drivers"]] == [
        ("assistant", "Claude Opus", 40 * MICRO), ("agents", "jira", 30 * MICRO), ("api", "Search", 4 * MICRO),
    ]  # fmt: skip
    assert [(row["product"], row["contracted"], row["used"]) for row in context["products"]] == [
        ("assistant", 60 * MICRO, 43 * MICRO), ("agents", 40 * MICRO, 30 * MICRO), ("api", None, 4 * MICRO),
    ]  # fmt: skip


async def test_a_feature_with_more_refunds_than_usage_is_not_among_those_that_used_most(
    db: TableRows, pool: Pool, owner: Connection
) -> None:
    acme = await make_customer(db)
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
    db: TableRows, pool: Pool, owner: Connection, starts_on: str, ends_on: str, used: list[str]
) -> None:
    acme = await make_customer(db, starts_on=starts_on, ends_on=ends_on)
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
