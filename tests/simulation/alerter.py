"""Histories of alerters: the production evaluation and mailer on a simulated Postgres and mail server, checked against a model."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import aiosmtplib
from aiokafka import TopicPartition
from alerter.db.statements import SQL
from alerter.email.message import MailConfig
from alerter.email.smtp import Mailer
from alerter.evaluation.evaluator import CHANGES_MAX, Evaluator
from alerter.evaluation.wakeups import drain_wakeups
from alerter.notify.topic import publish_alert_events
from alerter.queues.rotation import Rotation
from runtime.kafka.clients import is_transient
from runtime.periodic import every
from runtime.postgres.errors import transient_error_code

from simulation import alerter_sql
from simulation.alerter_sql import RECIPIENTS, LevelRow
from simulation.kafka import Kafka, Producer
from simulation.postgres import FaultRates, Pool, Postgres
from simulation.world import Process, World

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ORGANIZATIONS = (1, 2)
CONTRACTS = ("c1", "c2", "c3")
"""Of each organization, with the same level: an evaluation may make a portion of the changes only."""
AVAILABLE = 100
ACTS = 3
FAULTY_STEPS, HEALED_WITHIN = 150, 3_000
ALERTS = TopicPartition("alerts", 0)


@dataclass
class Delivery:
    """A mail that the server accepted. `dropped`: the connection ended before its answer."""

    process: Process
    message: EmailMessage
    dropped: bool


class MailServer:
    """One process's client of the simulated mail server. A send succeeds, or fails before or after the server accepts the mail."""

    def __init__(self, scenario: "Scenario", process: Process) -> None:
        self._story = scenario
        self._process = process

    async def send(self, message: EmailMessage, sender: str, recipient: str) -> str:
        return await self._story.world.reach(self._process, lambda: self._take(message, recipient))

    def _take(self, message: EmailMessage, recipient: str) -> str:
        roll = self._story.world.chance.random()
        if roll < self._story.mail_error_rate:
            raise aiosmtplib.SMTPDataError(451, "not now")
        dropped = roll > 1 - self._story.mail_error_rate
        before = self._story.mailbox[str(message["Message-ID"]), recipient]
        for earlier in before:
            if not earlier.dropped and earlier.process.alive:
                self._story.violations.append(f"O8: {message['Message-ID']} sent again, its outcome was not in doubt")
            if earlier.message.as_bytes() != message.as_bytes():
                self._story.violations.append(f"O8: {message['Message-ID']} has two contents")
        before.append(Delivery(self._process, message, dropped))
        if dropped:
            raise aiosmtplib.SMTPServerDisconnected("gone after DATA")
        return "250 taken"


class Model:
    """One organization: number of firings by threshold, and the open ones. Evaluated only when no change is pending."""

    def __init__(self) -> None:
        self.episodes: dict[int, int] = {}
        self.open: set[int] = set()

    def evaluate(self, at: LevelRow) -> None:
        met = {percent for percent in at.thresholds if at.used * 100 >= at.available * percent}
        for percent in met - self.open:
            self.episodes[percent] = self.episodes.get(percent, 0) + 1
        self.open = met


class Scenario:
    """One history of acts. Within an act a level only rises, only falls, or its thresholds change once, so the
    result does not depend on the time of an evaluation."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.postgres = Postgres(self.world, SQL, alerter_sql.STATEMENTS, alerter_sql.NAMES)
        self.kafka = Kafka(self.world)
        self.kafka.log = {ALERTS: []}
        self.contracts = CONTRACTS[: self.world.chance.randint(1, len(CONTRACTS))]
        self.changes_max = self.world.chance.choice([1, 2, CHANGES_MAX])
        for number in ORGANIZATIONS:
            self.postgres.table("levels")[number] = LevelRow(AVAILABLE, 0, (75, 90), contracts=self.contracts)
        self.levels: dict[int, list[LevelRow]] = {at: [level] for at, level in self.postgres.table("levels").items()}
        """All levels that an organization had."""
        self.models = {number: Model() for number in ORGANIZATIONS}
        self.mailbox: dict[tuple[str, str], list[Delivery]] = defaultdict(list)
        self.mail_error_rate = 0.0
        self.processes: dict[Process, Evaluator] = {}
        self.starts_at = {"first": 0, "second": self.world.chance.randint(0, 40)}
        self.changes: list[Callable[[], None]] = []
        self.violations: list[str] = []

    async def run(self) -> None:
        """Run the whole history. Afterwards `violations` lists what was wrong."""
        for act in range(ACTS):
            self.changes = [change for number in ORGANIZATIONS for change in self.plan(number, act == 0)]
            self.postgres.fault_rates, self.kafka.error_rate, self.mail_error_rate = FaultRates(0.02, 0.02), 0.2, 0.12
            self.world.crash_rate, self.world.disturb = 0.03, self.disturb
            until = self.world.step_count + FAULTY_STEPS
            await self.world.until(lambda until=until: self.world.step_count >= until, FAULTY_STEPS)  # type: ignore[misc]
            self.postgres.fault_rates, self.kafka.error_rate, self.mail_error_rate = FaultRates(), 0.0, 0.0
            self.world.crash_rate, self.world.disturb = 0.0, self.supervise
            while self.changes:
                self.changes.pop()()
            for number, model in self.models.items():
                model.evaluate(self.postgres.table("levels")[number])
            await self.world.until(self.is_quiet, HEALED_WITHIN)
            self.check()

    def plan(self, number: int, first: bool) -> list[Callable[[], None]]:
        """The changes of an organization in this act."""
        chance, table = self.world.chance, self.postgres.table("levels")

        def change(**columns: Callable[[LevelRow], Any]) -> Callable[[], None]:
            def happen() -> None:
                before = table[number]
                table[number] = before._replace(**{name: made(before) for name, made in columns.items()})
                self.levels[number].append(table[number])
                self.postgres.table("wakeups")[self.postgres.number("wakeups")] = chance.choice([number, number, 0])

            return happen

        kind = "rise" if first else chance.choice(["rise", "rise", "fall", "save"])
        if kind == "save":
            chosen = tuple(sorted(chance.sample([50, 75, 90, 100], chance.randint(1, 3))))
            return [change(thresholds=lambda _: chosen)]
        amounts = [chance.choice([1, 15, 40, 75]) for _ in range(chance.randint(1, 4))]
        if kind == "rise":
            return [change(used=lambda at, amount=amount: at.used + amount) for amount in amounts]  # type: ignore[misc]
        return [change(used=lambda at, amount=amount: max(0, at.used - amount)) for amount in amounts]  # type: ignore[misc]

    def disturb(self) -> None:
        self.supervise()
        chance = self.world.chance
        roll = chance.random()
        if roll < 0.1 and self.changes:
            self.changes.pop()()
        elif roll > 0.97 and self.processes:
            process = chance.choice([*self.processes])
            numbers = chance.choice([[1], [2], [1, 2]])
            self.world.run(process, consume_totals(self.processes[process], numbers))
        elif roll > 0.96 and self.postgres.open:
            idle = sorted(self.postgres.open, key=lambda transaction: transaction.session)
            self.postgres.undo(chance.choice(idle))

    def supervise(self) -> None:
        """Start processes that are due. A process may end only for a transient error."""
        for process, error in self.world.deaths:
            self.processes.pop(process, None)
            self.starts_at[process.name] = self.world.step_count + self.world.chance.randint(0, 30)
            if error is not None and (not isinstance(error, Exception) or transient_error_code(error) is None):
                self.violations.append(f"{process.name} ended: {type(error).__name__}: {error}")
        self.world.deaths.clear()
        for name, due in [*self.starts_at.items()]:
            if due <= self.world.step_count:
                del self.starts_at[name]
                self.start(Process(name))

    def start(self, process: Process) -> None:
        """Start the alerter's timers, at their intervals."""
        pool: Any = Pool(self.postgres, process)
        server: Any = MailServer(self, process)
        producer: Any = Producer(self.kafka, process)
        evaluator = Evaluator(
            pool, billing_moderator_enabled=True, mail_domain="flex.example",
            now=lambda: NOW + timedelta(seconds=self.world.now), changes_max=self.changes_max,
        )  # fmt: skip
        mailer = Mailer(pool, server, MailConfig("alerts@flex.example", "https://flex.example"))
        rotation = Rotation()
        self.processes[process] = evaluator
        for interval_s, work in (
            (0.25, lambda: drain_wakeups(pool, evaluator)),
            (1.0, mailer.send_due),
            (1.0, lambda: publish_alert_events(pool, producer, ALERTS.topic, rotation)),
            (5.0, lambda: evaluator.evaluate(None, trigger="sweep")),
            (1.0, evaluator.evaluate_left),
        ):
            self.world.run(process, every(interval_s, work, transient=is_transient))  # type: ignore[arg-type]

    def is_quiet(self) -> bool:
        """Whether firings are as expected, no wake-up waits, and every mail and alert event was sent."""
        table = self.postgres.table
        return (
            not table("wakeups")
            and all(at.state == "sent" for at in table("emails").values())
            and all(row[5] for row in table("notices").values())
            and self.fired() == self.expected()
        )

    def fired(self) -> set[tuple[int, str, int, int, bool]]:
        """Organization, contract, threshold, episode, and whether it is open."""
        return {(key[0], key[2], *key[5:], at.resolution is None) for key, at in self.postgres.table("firings").items()}

    def expected(self) -> set[tuple[int, str, int, int, bool]]:
        return {
            (number, contract, percent, episode, episode == last and percent in model.open)
            for contract in self.contracts
            for number, model in self.models.items()
            for percent, last in model.episodes.items()
            for episode in range(1, last + 1)
        }

    def check(self) -> None:
        table = self.postgres.table
        found = []
        mails = Counter(at.firing_id for at in table("emails").values())
        for key, at in table("firings").items():
            if (at.available, at.used) not in {
                level[:2] for level in self.levels[key[0]]
            } or at.used * 100 < at.available * key[5]:
                found.append(f"O7: {key} fired at {at.used} of {at.available}")
            if mails[at.firing_id] != (len(RECIPIENTS) if at.notification == "sent" else 0):
                found.append(f"O8: {key} {at.notification} has {mails[at.firing_id]} mails")
            kinds = [row[3] for _, row in sorted(table("notices").items()) if row[1] == at.firing_id]
            if kinds != ["fired", "resolved"][: 1 if at.resolution is None else 2]:
                found.append(f"{key} has the alert events {kinds}")
        banners = {number: row[3] for number, row in table("banners").items()}
        highest = {number: max(model.open) for number, model in self.models.items() if model.open}
        if banners != highest:
            found.append(f"O7: banners {banners}, the model says {highest}")
        lacking = {(at.message_id, at.recipient) for at in table("emails").values()} ^ self.mailbox.keys()
        if lacking:
            found.append(f"O8: only in the outbox or only delivered: {lacking}")
        bodies = {row[4].encode() for row in table("notices").values()}
        if {value for _, value in self.kafka.log[ALERTS]} != bodies:
            found.append("the topic and the stored alert events differ")
        self.violations += [*found, *["deadlock"] * self.postgres.deadlocks]


async def consume_totals(evaluator: Evaluator, numbers: Sequence[int]) -> None:
    """Evaluate as after a totals message: a transient error is ignored, since the sweep evaluates again."""
    try:
        await evaluator.evaluate(numbers, trigger="totals")
    except Exception as error:
        if transient_error_code(error) is None:
            raise


def run(seed: int) -> Scenario:
    """Run the history of a seed; `violations` is empty when no check failed."""
    scenario = Scenario(seed)
    error = scenario.world.run_scenario(scenario.run)
    if error is not None:
        differ = sorted(scenario.fired() ^ scenario.expected())
        scenario.violations.append(
            f"step {scenario.world.step_count}: {type(error).__name__}: {error}; firings that differ: {differ}"
        )
    return scenario
