"""Histories of days: alerters with projected thresholds on a simulated Postgres, killed at any step, checked after each day."""

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from alerter.domain.projected import HOLDS_PERMILLE
from alerter.evaluation.evaluator import Evaluator
from alerter.evaluation.projector import Projector
from flexcredits_schemas.alerts import is_met
from flexcredits_schemas.projection.history import days_in_a_row, seed_of
from runtime.forecast.project import DAYS_MAX, Outlook, foresee, project_outlook
from runtime.kafka.clients import is_transient
from runtime.periodic import every

from simulation.alerter import NOW, ORGANIZATIONS
from simulation.alerter import Scenario as Alerts
from simulation.alerter_sql import BEGINS, ENDS, RECIPIENTS, Days, LevelRow, name_of
from simulation.postgres import FaultRates, Pool
from simulation.world import Process

DAYS = 3
HISTORY_DAYS = 16
"""Before the first day of the period; a projection needs 14."""
FAULTY_STEPS, HEALED_WITHIN = 250, 4_000
DAILY = 1_000_000


async def at_once(function: Callable[[], Any]) -> Any:
    """In place of a thread."""
    return function()


class Scenario(Alerts):
    """One history of days. On each day usage, contract and thresholds change while processes die, and the watermark may
    lag behind."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.day = 0
        self.kept: dict[int, tuple[LevelRow, Days, tuple[dict[int, int], set[int]]]] = {}
        """The last projection of an organization, and what it was made of."""
        for number in ORGANIZATIONS:
            first = BEGINS - timedelta(days=HISTORY_DAYS)
            count = (NOW.date() - first).days
            by_day = {first + timedelta(days=place): DAILY for place in range(count)}
            self.postgres.table("days")[number] = Days(by_day, NOW)
            self.postgres.table("levels")[number] = LevelRow(33 * DAILY, 0, (), (100,))
            self.refresh(number)

    @property
    def today(self) -> date:
        return NOW.date() + timedelta(days=self.day)

    def refresh(self, number: int) -> None:
        """Make the level's use that of its days."""
        table, days = self.postgres.table("levels"), self.postgres.table("days")[number]
        used = sum(credits for day, credits in days.by_day.items() if BEGINS <= day < ENDS)
        table[number] = table[number]._replace(used=used)

    async def run(self) -> None:
        for self.day in range(DAYS):
            self.begin_day()
            self.changes = [change for number in ORGANIZATIONS for change in self.plan(number, False)]
            self.postgres.fault_rates, self.kafka.error_rate, self.mail_error_rate = FaultRates(0.01, 0.01), 0.1, 0.1
            self.world.crash_rate, self.world.disturb = 0.015, self.disturb
            until = self.world.step_count + FAULTY_STEPS
            await self.world.until(lambda until=until: self.world.step_count >= until, FAULTY_STEPS)  # type: ignore[misc]
            self.postgres.fault_rates, self.kafka.error_rate, self.mail_error_rate = FaultRates(), 0.0, 0.0
            self.world.crash_rate, self.world.disturb = 0.0, self.supervise
            await self.world.until(self.is_quiet, HEALED_WITHIN)
            while self.changes:  # those that are left, one after the other: projections turn within a day
                self.changes.pop()()
                await self.world.until(self.is_quiet, HEALED_WITHIN)
            self.check()

    def begin_day(self) -> None:
        """A day's use is complete when the day begins, except that the watermark of an organization may lag behind."""
        for number in ORGANIZATIONS:
            days = self.postgres.table("days")[number]
            lags = self.world.chance.random() < 0.2
            at = NOW + timedelta(days=self.day - (1 if lags else 0))
            use = self.world.chance.choice([0, 0, DAILY, 2 * DAILY, 4 * DAILY])
            by_day = dict(days.by_day) | {self.today - timedelta(days=1): use}
            self.postgres.table("days")[number] = Days(by_day, at)
            self.refresh(number)

    def plan(self, number: int, first: bool) -> list[Callable[[], None]]:
        chance, table = self.world.chance, self.postgres.table("levels")

        def change(**columns: Any) -> Callable[[], None]:
            def happen() -> None:
                table[number] = table[number]._replace(**columns)
                self.postgres.table("wakeups")[self.postgres.number("wakeups")] = chance.choice([number, number, 0])

            return happen

        if chance.random() < 0.5:
            turns = [change(available=amount * DAILY) for amount in chance.choice([(60, 24), (24, 60, 24), (24, 60)])]
        else:
            chosen = [tuple(sorted(chance.sample([80, 100, 120], chance.randint(0, 2)))) for _ in range(2)]
            turns = [change(projected=thresholds) for thresholds in chosen[: chance.randint(0, 2)]]
        return turns

    def disturb(self) -> None:
        self.supervise()
        roll = self.world.chance.random()
        if self.changes and roll < 0.01:
            self.changes.pop()()
        elif roll > 0.97 and self.postgres.open:
            idle = sorted(self.postgres.open, key=lambda transaction: transaction.session)
            self.postgres.undo(self.world.chance.choice(idle))

    def start(self, process: Process) -> None:
        super().start(process)
        pool: Any = Pool(self.postgres, process)
        evaluator: Evaluator = self.processes[process]
        evaluator._now = self.now  # the days of this history
        projector = Projector(pool, evaluator, "usage", self.now, at_once)
        self.world.run(process, every(1.0, projector.tick, transient=is_transient))  # type: ignore[arg-type]

    def now(self) -> Any:
        return NOW + timedelta(days=self.day, seconds=self.world.now)

    def is_quiet(self) -> bool:
        table = self.postgres.table
        return (
            not table("wakeups")
            and all(at.state == "sent" for at in table("emails").values())
            and all(row[5] for row in table("notices").values())
            and all(self.is_projected(number) and not self.check_verdict(number) for number in ORGANIZATIONS)
        )

    def is_projected(self, number: int) -> bool:
        """Whether the stored projection is of today, as the settings and the contract are now."""
        level, row = self.postgres.table("levels")[number], self.postgres.table("projections").get((number, "usage"))
        if not level.projected or all(is_met(level.used, level.available, at) for at in (*level.projected, 100)):
            return self.open(number) <= {*level.projected}
        _, _, _, _, day, available, thresholds, *_ = row or (None,) * 7
        return (day, available) == (self.today, level.available) and {*level.projected} <= {*(thresholds or ())}

    def open(self, number: int) -> set[int]:
        return {
            key[5]
            for key, at in self.postgres.table("firings").items()
            if key[0] == number and key[4] == "projected" and at.resolution is None
        }

    def check(self) -> None:
        self.violations += [*self.check_mails(), *["deadlock"] * self.postgres.deadlocks]
        for number in ORGANIZATIONS:
            self.violations += [
                f"day {self.day}, organization {number}: {found}" for found in self.check_verdict(number)
            ]

    def check_verdict(self, number: int) -> list[str]:
        """The open thresholds and the banner follow from the day's projection, which the test makes again."""
        level, days = self.postgres.table("levels")[number], self.postgres.table("days")[number]
        is_open, found = self.open(number), []
        waiting = [at for at in (*level.projected, 100) if not is_met(level.used, level.available, at)]
        if level.projected and waiting and days.complete_to.date() == self.today:
            permilles, running_out = self.projected(number, level, days)
            must = running_out & {*waiting}
            may = {at for at, permille in permilles.items() if permille >= HOLDS_PERMILLE}
            if not must <= is_open <= may:
                found.append(f"open are {is_open}, the projection says {permilles}")
        banner = self.postgres.table("banners").get(number)
        shown = max((at for at in is_open if not is_met(level.used, level.available, at)), default=None)
        if (banner[2:4] if banner else None) != (("projected", shown) if shown else None):
            found.append(f"the banner is {banner}, open are {is_open}")
        return found

    def projected(self, number: int, level: LevelRow, days: Days) -> tuple[dict[int, int], set[int]]:
        """For each threshold the probability that it is reached, and those that are reached in the middle path. Projected once
        for the same level and days: every step asks."""
        kept_level, kept_days, answer = self.kept.get(number, (None, None, None))
        if answer is not None and kept_level == level and kept_days is days:
            return answer
        first = self.today - timedelta(days=DAYS_MAX)
        outlook = foresee(
            first, days_in_a_row(days.by_day, first, self.today), until=ENDS, elapsed=0.5,
            seed=seed_of(name_of(number), None, None, days.complete_to, "UTC"),
        )  # fmt: skip
        assert isinstance(outlook, Outlook)
        permilles, running_out = dict[int, int](), set[int]()
        for at in level.projected:
            left = max(0, -(-level.available * at // 100) - level.used)
            projected = project_outlook(outlook, 0, level.used, left)
            assert projected.run_out is not None
            assert projected.probability_not_in_period is not None
            permilles[at] = round(1000 * (1 - projected.probability_not_in_period))
            running_out |= {at} if projected.run_out.p50 else set()
        self.kept[number] = level, days, (permilles, running_out)
        return permilles, running_out

    def check_mails(self) -> list[str]:
        table, found = self.postgres.table, []
        mails = Counter(at.firing_id for at in table("emails").values())
        mailed = Counter[tuple[int, date]]()
        for key, at in table("firings").items():
            if mails[at.firing_id] != (len(RECIPIENTS) if at.notification == "sent" else 0):
                found.append(f"{key} {at.notification} has {mails[at.firing_id]} mails")
            kinds = [row[3] for _, row in sorted(table("notices").items()) if row[1] == at.firing_id]
            if kinds != ["fired", "resolved"][: 1 if at.resolution is None else 2]:
                found.append(f"{key} has the alert events {kinds}")
            if at.notification == "sent":
                mailed[key[0], at.fired_at.date()] += 1
        found += [f"{at} has {many} mails" for at, many in mailed.items() if many > 1]
        lacking = {(at.message_id, at.recipient) for at in table("emails").values()} ^ self.mailbox.keys()
        return found + ([f"only in the outbox or only delivered: {lacking}"] if lacking else [])


def run(seed: int) -> Scenario:
    """Run the history of a seed; `violations` is empty when no check failed."""
    scenario = Scenario(seed)
    error = scenario.world.run_scenario(scenario.run)
    if error is not None:
        about = [found for number in ORGANIZATIONS for found in scenario.check_verdict(number)]
        scenario.violations.append(f"step {scenario.world.step_count}: {type(error).__name__}: {error}; {about}")
    return scenario
