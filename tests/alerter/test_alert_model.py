"""Random changes of usage, contracts, settings and time: firings and mails must equal a model's."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from alerter.evaluation.wakeups import drain_wakeups
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runtime.postgres.pool import Connection, Pool
from support.data.table_rows import TableRows
from support.services.alerter import MICRO, Customer, banner, evaluator, make_customer

BEGAN = datetime(2026, 10, 28, 12, 0, tzinfo=UTC)
PERIODS = {"p1": (date(2026, 10, 10), date(2026, 11, 20)), "p2": (date(2026, 11, 20), date(2027, 1, 5))}
ZONES = ["UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Australia/Lord_Howe"]
ROLE_HOLDERS = 3
numbers = count()


@dataclass
class Fired:
    """One episode of a threshold, and its notification."""

    episode: int
    notification: str
    used: int
    available: int
    mails: int
    resolution: str | None = None


@dataclass
class Model:
    """The model: one organization, whole micro-credits, no database."""

    zone: str
    now: datetime = BEGAN
    usage: dict[date, int] = field(default_factory=lambda: defaultdict(int))
    totals: dict[str, int | None] = field(default_factory=lambda: {"p1": 100 * MICRO, "p2": 100 * MICRO})
    saved_at: datetime = BEGAN
    thresholds: dict[str, list[int]] = field(default_factory=lambda: {"usage": [75, 90, 100], "budget": [75, 90, 100]})
    listed: dict[str, int] = field(default_factory=lambda: {"usage": 0, "budget": 0})
    recurring: int | None = 100 * MICRO
    once: tuple[date, int] | None = None
    fired: dict[tuple[str, str], dict[int, list[Fired]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), ZoneInfo(self.zone))

    def today(self) -> date:
        return self.now.astimezone(ZoneInfo(self.zone)).date()

    def evaluate(self) -> None:
        """Fire and resolve thresholds according to the level."""
        for period, (starts_on, ends_on) in PERIODS.items():
            self.compare("usage", period, starts_on, ends_on, self.totals[period])
        month = self.saved_at.astimezone(ZoneInfo(self.zone)).date().replace(day=1)
        while month <= self.today():
            following = (month + timedelta(days=31)).replace(day=1)
            budget = self.once[1] if self.once and self.once[0] == month else self.recurring
            self.compare("budget", f"{month:%Y-%m}", month, following, budget)
            month = following

    def compare(self, rule: str, period: str, starts_on: date, ends_on: date, available: int | None) -> None:
        if self.now < self.midnight(starts_on):
            return
        used = sum(credits for day, credits in self.usage.items() if starts_on <= day < ends_on)
        wanted = [] if rule == "budget" and available is None else self.thresholds[rule]
        met = {percent for percent in wanted if available and used * 100 >= available * percent}
        fired = self.fired[rule, period]
        already = {percent for percent, episodes in fired.items() if episodes and episodes[-1].resolution is None}
        ever = {percent for percent, episodes in fired.items() if episodes}
        for percent in already - met:
            fired[percent][-1].resolution = "level" if percent in wanted else "removed"
        new = met - already
        announced_higher = {
            percent for percent in new
            if any(other > percent for other in already & met)
            or (percent not in ever and any(other > percent for other in ever))
        }  # fmt: skip
        news = new - announced_higher
        late = self.now >= self.midnight(ends_on) + timedelta(hours=72)
        for percent in new:
            notification = (
                "suppressed" if percent in announced_higher else "sent" if percent == max(news) else "bundled"
            )
            notification = "backfilled" if late else notification
            mails = ROLE_HOLDERS + self.listed[rule] if notification == "sent" else 0
            fired[percent].append(Fired(len(fired[percent]) + 1, notification, used, available or 0, mails))

    def rows(self) -> set[tuple[Any, ...]]:
        return {
            (rule, period, percent, at.episode, at.notification, at.used, at.available, at.mails, at.resolution)
            for (rule, period), fired in self.fired.items()
            for percent, episodes in fired.items()
            for at in episodes
        }

    def banner(self) -> int | None:
        for period, (starts_on, ends_on) in PERIODS.items():
            if starts_on <= self.today() < ends_on:
                fired = self.fired["usage", period]
                return max((percent for percent, at in fired.items() if at and at[-1].resolution is None), default=None)
        return None


percents = st.lists(st.sampled_from([1, 25, 50, 75, 90, 100, 150, 200]), min_size=1, max_size=4, unique=True)
amounts = st.one_of(st.none(), st.integers(20, 150))
changes = st.one_of(
    st.tuples(st.just("use"), st.integers(0, 6), st.integers(10, 60)),
    st.tuples(st.just("use"), st.integers(0, 40), st.integers(1, 60)),
    st.tuples(st.just("correct"), st.integers(0, 20), st.integers(1, 60)),
    st.tuples(st.just("top up"), st.sampled_from(["p1", "p2"]), amounts),
    st.tuples(st.just("thresholds"), st.sampled_from(["usage", "budget"]), percents),
    st.tuples(st.just("recurring"), amounts, st.none()),
    st.tuples(st.just("once"), st.integers(20, 150), st.none()),
    st.tuples(st.just("list"), st.sampled_from(["usage", "budget"]), st.integers(0, 2)),
    st.tuples(st.just("wait"), st.sampled_from([1, 13, 70, 100, 240]), st.none()),
)
stories = st.lists(st.lists(changes, min_size=1, max_size=3), min_size=8, max_size=14)


async def carry_out(model: Model, customer: Customer, change: tuple[str, Any, Any]) -> None:
    """Apply one change to the model and to the rows of aggregator and query API."""
    match change:
        case ("use", days_ago, credits):
            day = model.today() - timedelta(days=days_ago)
            model.usage[day] += credits * MICRO
            await customer.use(credits, f"{day}")
        case ("correct", days_ago, credits):
            day = model.today() - timedelta(days=days_ago)
            taken = min(model.usage[day], credits * MICRO)
            model.usage[day] -= taken
            await customer.use(-taken / MICRO, f"{day}")
        case ("top up", period, total):
            model.totals[period] = None if total is None else total * MICRO
            await customer.set_total(total, period=period)
        case ("wait", hours, _):
            model.now += timedelta(hours=hours)
        case _:
            model.saved_at = model.now
            await customer.save(at=model.now, **save(model, change))


def save(model: Model, change: tuple[str, Any, Any]) -> dict[str, Any]:
    """Columns that a save changes."""
    match change:
        case ("thresholds", rule, chosen):
            model.thresholds[rule] = chosen
            return {f"{rule}_thresholds": chosen}
        case ("recurring", amount, _):
            model.recurring, model.once = (None if amount is None else amount * MICRO), None
            return {
                "budget_recurring_credits": model.recurring, "budget_once_credits": None, "budget_once_month": None,
            }  # fmt: skip
        case ("once", amount, _):
            model.once = model.today().replace(day=1), amount * MICRO
            return {"budget_once_credits": model.once[1], "budget_once_month": model.once[0]}
        case (_, rule, length):
            model.listed[rule] = length
            people = [f"person{number}@finance.example" for number in range(length)]
            return {f"{rule}_recipients": people, f"{rule}_recipients_on": bool(people)}


async def rows(owner: Connection, number: int) -> list[tuple[Any, ...]]:
    found = await owner.fetch(
        "SELECT f.rule, f.period_id, f.threshold, f.episode, f.notification, f.used, f.available,"
        " (SELECT count(DISTINCT e.message_id) FROM email_outbox e WHERE e.firing_id = f.firing_id), f.resolution"
        " FROM alert_firings f WHERE f.organization_id = $1",
        number,
    )
    return [tuple(row) for row in found]


@pytest.mark.timeout(300)  # 200 stories; 100 s on two cores that another process of tests shares
@given(story=stories, zone=st.sampled_from(ZONES), order=st.permutations(range(3)))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_what_fired_is_what_the_model_says(
    db: TableRows, pool: Pool, owner: Connection, story: list[list[tuple[str, Any, Any]]], zone: str, order: list[int]
) -> None:
    model = Model(zone)
    customer = await make_customer(
        db, f"org_{next(numbers)}", zone, total=100, starts_on="2026-10-10", ends_on="2026-11-20",
        billing_moderators=True,
    )  # fmt: skip
    await db.period(customer.number, "c1", "p2", "2026-11-20", "2027-01-05", total=100)
    await customer.save(at=BEGAN, budget_recurring_credits=model.recurring)
    evaluate = evaluator(pool, lambda: model.now)
    for step in story:
        for change in step:
            await carry_out(model, customer, change)
        model.evaluate()
        evaluations = [
            lambda: evaluate.evaluate([customer.number], trigger="totals"),
            lambda: evaluate.evaluate([customer.number], trigger="rollover", history=True),
            lambda: drain_wakeups(pool, evaluate),
        ]
        await asyncio.gather(*(evaluations[number]() for number in order))
        found = await rows(owner, customer.number)
        assert len(found) == len(set(found)) == len({row[:4] for row in found}), "fired twice"
        assert set(found) == model.rows()
        raised = await banner(owner, customer.number)
        assert (raised[0] if raised else None) == model.banner()
        assert all(used * 100 >= available * percent for _, _, percent, _, _, used, available, *_ in found), "too early"
        notices = await owner.fetch(
            "SELECT array_agg(n.kind ORDER BY n.alert_event_id) AS kinds, f.resolved_at FROM alert_firings f"
            " LEFT JOIN alert_events n USING (firing_id) WHERE f.organization_id = $1 GROUP BY f.firing_id, f.resolved_at",
            customer.number,
        )
        assert all(row["kinds"] == ["fired", "resolved"][: 2 if row["resolved_at"] else 1] for row in notices)
