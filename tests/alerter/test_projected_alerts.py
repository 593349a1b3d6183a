"""Alerts on projected use: made once a day from rows in a real database, exactly once, retracted when the projection turns."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from alerter.domain.links import period_url
from alerter.evaluation.evaluator import Evaluator
from alerter.evaluation.projector import Projector
from alerter.evaluation.retry import retry_quarantined
from alerter.notify.slack import write_message
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.services.alerter import MICRO, NOW, Customer, evaluator, make_customer

TODAY = NOW.date()
TOPIC = "usage.events.v1"


class Alerter:
    """An evaluator and its projector, at a time that the test sets."""

    def __init__(self, pool: Pool) -> None:
        self.now = NOW
        self.evaluator: Evaluator = evaluator(pool, lambda: self.now)
        self.projector = Projector(pool, self.evaluator, TOPIC, lambda: self.now)

    async def run(self) -> None:
        """A sweep, and the projections that it finds to be due."""
        await self.evaluator.evaluate(None, trigger="sweep")
        while self.evaluator.unprojected:
            await self.projector.tick()
        await self.evaluator.evaluate(None, trigger="sweep")


@pytest.fixture
def alerter(pool: Pool) -> Alerter:
    return Alerter(pool)


async def steady(
    db: TableRows, name: str = "org_acme", *, total: int = 140, days: int = 60, daily: int = 2
) -> Customer:
    """`daily` credits on each of the last `days` days in a credit period to the end of the year: 80 remain from today on."""
    acme = await make_customer(db, name, total=total, starts_on="2026-11-01", ends_on="2027-01-01")
    for before in range(1, days + 1):
        await acme.use(daily, f"{TODAY - timedelta(days=before)}")
    if not await db.count("SELECT count(*) FROM partition_progress"):
        await db.progress(0, NOW)
    return acme


async def firings(owner: Connection, number: int, rule: str = "usage") -> list[tuple[Any, ...]]:
    rows = await owner.fetch(
        "SELECT threshold, episode, notification, resolution, passed_p50 FROM alert_firings"
        " WHERE organization_id = $1 AND rule = $2 AND kind = 'projected' ORDER BY firing_id",
        number, rule,
    )  # fmt: skip
    return [tuple(row) for row in rows]


async def banner(owner: Connection, number: int) -> tuple[Any, ...] | None:
    row = await owner.fetchrow("SELECT kind, threshold, episode FROM banners WHERE organization_id = $1", number)
    return tuple(row) if row else None


async def test_a_projected_threshold_fires_with_its_date_banner_notice_and_mails_at_once(
    db: TableRows, owner: Connection, alerter: Alerter
) -> None:
    acme = await steady(db, total=62)
    await acme.save(usage_projected_thresholds=[100], usage_thresholds=[])
    await alerter.run()
    [(threshold, episode, notification, resolution, passed_on)] = await firings(owner, acme.number)
    assert (threshold, episode, notification, resolution) == (100, 1, "sent", None)
    left, day = 62 - 21 * 2, TODAY  # of 62 credits, 42 were used on 21 days of November
    assert abs(passed_on - (day + timedelta(days=left // 2))) <= timedelta(days=1)
    assert await banner(owner, acme.number) == ("projected", 100, 1)
    written = await owner.fetch(
        "SELECT DISTINCT xmin FROM email_outbox UNION SELECT xmin FROM alert_firings UNION SELECT xmin FROM banners"
        " UNION SELECT xmin FROM alert_events UNION SELECT xmin FROM alert_projections"
    )
    assert len(written) == 1, "written by more than one transaction"
    assert await owner.fetchval("SELECT count(*) FROM email_outbox") == 3
    event = json.loads(await owner.fetchval("SELECT body FROM alert_events"))
    assert event["type"] == "flexcredits.alert.fired.v1"
    assert (event["data"]["kind"], event["data"]["passed_on"]["p50"]) == ("projected", f"{passed_on}")
    assert "*Projected to pass 100% of credits around" in write_message(json.dumps(event), "https://flex.example")
    assert "credit_period=" in period_url("https://flex.example", event["data"])
    context = json.loads(await owner.fetchval("SELECT mail_context FROM alert_firings"))
    assert context["passed_on"]["p50"] == f"{passed_on}"
    await alerter.run()
    assert await owner.fetchval("SELECT count(*) FROM alert_firings") == 1


async def test_a_larger_contract_retracts_it_and_the_next_day_may_fire_again(
    db: TableRows, owner: Connection, alerter: Alerter
) -> None:
    acme = await steady(db, total=62)
    await acme.save(usage_projected_thresholds=[100])
    await alerter.run()
    await acme.set_total(500)
    await alerter.run()
    assert [row[:4] for row in await firings(owner, acme.number)] == [(100, 1, "sent", "level")]
    assert await banner(owner, acme.number) is None
    assert await owner.fetchval("SELECT count(*) FROM alert_events WHERE kind = 'resolved'") == 1
    await acme.set_total(62)
    await alerter.run()
    assert [row[:4] for row in await firings(owner, acme.number)][1:] == [(100, 2, "suppressed", None)]
    assert await banner(owner, acme.number) == ("projected", 100, 2)
    await acme.set_total(500)
    await alerter.run()
    alerter.now = NOW + timedelta(days=1)
    await acme.use(2, f"{TODAY}")
    await db.execute("UPDATE partition_progress SET caught_up_at = $1", alerter.now)
    await acme.set_total(62)
    await alerter.run()
    assert [row[:4] for row in await firings(owner, acme.number)][2:] == [(100, 3, "sent", None)]
    assert await owner.fetchval("SELECT count(*) FROM email_outbox") == 6


async def test_it_is_retracted_on_a_later_day_when_use_stops(
    db: TableRows, owner: Connection, alerter: Alerter
) -> None:
    acme = await steady(db, total=100)
    await acme.save(usage_projected_thresholds=[100])
    await alerter.run()
    assert [row[:4] for row in await firings(owner, acme.number)] == [(100, 1, "sent", None)]
    for day in range(1, 15):
        alerter.now = NOW + timedelta(days=day)
        await db.execute("UPDATE partition_progress SET caught_up_at = $1", alerter.now)
        await alerter.run()
    assert [row[:4] for row in await firings(owner, acme.number)] == [(100, 1, "sent", "level")]
    assert await banner(owner, acme.number) is None


async def test_a_budget_is_projected_to_the_end_of_its_month_and_raises_no_banner(
    db: TableRows, owner: Connection, alerter: Alerter
) -> None:
    acme = await steady(db)
    await acme.set_budget(48, budget_projected_thresholds=[90, 100], budget_thresholds=[])
    await alerter.run()
    rows = await firings(owner, acme.number, "budget")
    assert [row[:4] for row in rows] == [(90, 1, "bundled", None), (100, 1, "sent", None)]
    assert rows[0][4] <= rows[1][4] <= date(2026, 11, 26)
    assert await banner(owner, acme.number) is None
    assert await firings(owner, acme.number) == []


async def project_row(owner: Connection, number: int) -> tuple[Any, ...]:
    row = await owner.fetchrow(
        "SELECT day, refusal, detail, permilles, p10, p50, p90 FROM alert_projections WHERE organization_id = $1",
        number,
    )
    return tuple(row) if row else ()


async def test_a_refused_projection_fires_nothing_retracts_nothing_and_says_why(
    db: TableRows, owner: Connection, alerter: Alerter
) -> None:
    young = await steady(db, "org_young", days=13, total=1)
    await young.save(usage_projected_thresholds=[100, 200], usage_thresholds=[])
    await young.set_total(40)
    acme = await steady(db, total=62)
    await acme.save(usage_projected_thresholds=[100])
    await alerter.run()
    assert (await project_row(owner, young.number))[1:3] == (
        "too_few_days", "A projection needs 14 complete days since the first use; there are 13.",
    )  # fmt: skip
    assert await firings(owner, young.number) == []
    alerter.now = NOW + timedelta(days=1)  # the watermark stays at yesterday
    await alerter.run()
    assert (await project_row(owner, acme.number))[1] == "days_missing"
    assert [row[:4] for row in await firings(owner, acme.number)] == [(100, 1, "sent", None)]
    assert await banner(owner, acme.number) == ("projected", 100, 1)
    await db.execute("UPDATE partition_progress SET caught_up_at = $1", alerter.now)
    await alerter.run()
    assert (await project_row(owner, acme.number))[1] == "days_missing", "tried again in a quarter of an hour"
    alerter.now += timedelta(minutes=15)
    await alerter.run()
    assert (await project_row(owner, acme.number))[1] is None


async def test_organizations_without_the_rule_are_not_projected(
    db: TableRows, owner: Connection, alerter: Alerter
) -> None:
    acme = await steady(db)
    await alerter.run()
    assert await project_row(owner, acme.number) == ()
    await acme.save(usage_projected_thresholds=[100])
    await acme.set_total(None)
    await alerter.run()
    assert await project_row(owner, acme.number) == (), "without contracted credits there is nothing to pass"


async def test_a_mail_about_use_says_when_credits_run_out_if_a_projection_is_at_hand(
    db: TableRows, owner: Connection, alerter: Alerter
) -> None:
    acme = await steady(db, total=60)  # 70 % are used: near the threshold of 75 %
    await alerter.run()
    assert await firings(owner, acme.number) == []
    await acme.use(4, f"{TODAY}")
    await alerter.run()
    context = json.loads(await owner.fetchval("SELECT mail_context FROM alert_firings WHERE threshold = 75"))
    assert context["projection"]["p50"] is not None
    far = await steady(db, "org_far", total=1_000)
    await far.use(900, f"{TODAY}")
    await alerter.run()
    query = "SELECT mail_context FROM alert_firings WHERE organization_id = $1 AND notification = 'sent'"
    context = json.loads(await owner.fetchval(query, far.number))
    assert context["projection"] is None


async def test_a_period_whose_end_is_amended_is_projected_again(
    db: TableRows, owner: Connection, alerter: Alerter
) -> None:
    acme = await steady(db, total=62)
    await acme.save(usage_projected_thresholds=[100])
    await alerter.run()
    assert await banner(owner, acme.number) == ("projected", 100, 1)
    await db.execute("UPDATE credit_periods SET ends_on = '2026-11-24' WHERE organization_id = $1", acme.number)
    await alerter.run()
    assert [row[:4] for row in await firings(owner, acme.number)] == [(100, 1, "sent", "level")]
    assert await banner(owner, acme.number) is None


async def test_the_same_rows_give_the_same_projection(db: TableRows, pool: Pool, owner: Connection) -> None:
    acme = await steady(db)
    await acme.save(usage_projected_thresholds=[80, 100])
    found = []
    for _ in range(2):
        await db.execute("DELETE FROM alert_projections")
        await Alerter(pool).run()
        found.append(await project_row(owner, acme.number))
    assert found[0] == found[1]


async def test_many_alerters_at_once_fire_once(db: TableRows, pool: Pool, owner: Connection) -> None:
    customers = [await steady(db, f"org_{number}", total=62) for number in range(3)]
    for customer in customers:
        await customer.save(usage_projected_thresholds=[100], usage_thresholds=[])
    await asyncio.gather(*(Alerter(pool).run() for _ in range(4)))
    for customer in customers:
        assert [row[:4] for row in await firings(owner, customer.number)] == [(100, 1, "sent", None)]
    assert await owner.fetchval("SELECT count(*) FROM email_outbox") == 9


async def test_an_organization_whose_projection_fails_delays_no_other_and_no_alert_on_use(
    db: TableRows, pool: Pool, owner: Connection, alerter: Alerter
) -> None:
    broken, acme = await steady(db, "org_broken", total=62), await steady(db, total=62)
    for customer in (broken, acme):
        await customer.save(usage_projected_thresholds=[100])
    await owner.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken' USING ERRCODE = '22000'; END $$"
    )
    await owner.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON alert_projections FOR EACH ROW"
        f" WHEN (NEW.organization_id = {broken.number}) EXECUTE FUNCTION refuse()"
    )
    await broken.use(10, f"{TODAY}")
    await alerter.run()
    assert [row[:4] for row in await firings(owner, acme.number)] == [(100, 1, "sent", None)]
    assert await banner(owner, broken.number) == ("used", 75, 1)
    assert await owner.fetchval("SELECT count(*) FROM quarantine WHERE step = 'project'") == 1
    await owner.execute("DROP TRIGGER broken ON alert_projections")
    await owner.execute("UPDATE quarantine SET retry_at = now()")
    await retry_quarantined(pool, alerter.evaluator)
    await alerter.run()
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0
    assert [row[:4] for row in await firings(owner, broken.number)] == [(100, 1, "sent", None)]


@pytest.mark.parametrize("all_slow", [False, True])
async def test_a_projection_that_takes_too_long_for_one_and_for_all(
    db: TableRows, owner: Connection, alerter: Alerter, all_slow: bool
) -> None:
    customers = [await steady(db, f"org_{number}", total=62) for number in range(3)]
    for customer in customers:
        await customer.save(usage_projected_thresholds=[100])
    slow = [customer.number for customer in customers[: 3 if all_slow else 1]]
    await owner.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'slow' USING ERRCODE = '57014'; END $$"
    )
    await owner.execute(
        "CREATE TRIGGER slow BEFORE INSERT ON alert_projections FOR EACH ROW"
        f" WHEN (NEW.organization_id = ANY (ARRAY{slow})) EXECUTE FUNCTION refuse()"
    )
    if all_slow:
        with pytest.raises(asyncpg.QueryCanceledError):
            await alerter.run()
        assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0
        await owner.execute("DROP TRIGGER slow ON alert_projections")
    await alerter.run()
    fired = [len(await firings(owner, customer.number)) for customer in customers]
    assert fired == ([1, 1, 1] if all_slow else [0, 1, 1])
    assert await owner.fetchval("SELECT count(*) FROM quarantine WHERE step = 'project'") == (not all_slow)


async def test_a_credit_period_without_an_end_has_no_projection(
    db: TableRows, owner: Connection, alerter: Alerter
) -> None:
    acme = await make_customer(db, total=62, starts_on="2026-11-01", ends_on="9999-12-31")
    await acme.save(usage_projected_thresholds=[100])
    await db.progress(0, datetime(2026, 11, 22, 12, tzinfo=UTC))
    await acme.use(20, "2026-11-20")
    await alerter.run()
    assert (await project_row(owner, acme.number))[1] == "no_end"


async def test_amounts_are_whole_micro_credits(db: TableRows, owner: Connection, alerter: Alerter) -> None:
    acme = await steady(db, total=62)
    await acme.save(usage_projected_thresholds=[99])
    await alerter.run()
    assert await owner.fetchval("SELECT available FROM alert_firings WHERE kind = 'projected'") == 62 * MICRO
