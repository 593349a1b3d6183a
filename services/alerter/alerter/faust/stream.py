"""The Faust application's work. Messages of usage.totals.v1, rows of alert_wakeups and timers trigger evaluations;
levels come from Postgres.

Faust runs inside our own process (docs/decisions/0015-faust-runs-inside-the-alerters-process.md). It gets raw bytes and
function bodies that never raise, and the process ends where Faust's supervisor would continue. A message that Faust
loses delays an alert until the next sweep.
"""

import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

import faust
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition
from faust.agents import Agent
from runtime.observability.tracing import TRACEPARENT, Tracing
from runtime.periodic import only_delays
from runtime.postgres.pool import Pool

from alerter.db.queries import number_organizations
from alerter.email.smtp import Mailer
from alerter.evaluation.evaluator import Evaluator
from alerter.evaluation.projector import Projector
from alerter.evaluation.requests import answer_requests
from alerter.evaluation.retry import retry_quarantined
from alerter.evaluation.wakeups import drain_wakeups
from alerter.faust.app import MESSAGES_MAX
from alerter.metrics import UNREADABLE
from alerter.notify.topic import publish_alert_events
from alerter.notify.webhooks import Deliverer
from alerter.queues.rotation import Rotation
from alerter.settings import Settings

log = structlog.get_logger()

TOGETHER_WITHIN_S = 0.2
"""Totals messages that arrive within this time are evaluated together."""
ROLLOVER = "*/15 * * * *"
"""Midnight of every time zone is at a quarter of an hour in UTC."""
PROJECT_EVERY_S = 1.0
LEFT_EVERY_S = 1.0
RETRY_EVERY_S = 1.0
"""How often rows of the table `quarantine` are checked for due retries."""

Evaluate = Callable[[Sequence[int]], Awaitable[object]]


class Streams:
    """The application's stream and timers, and their progress for the watchdog."""

    def __init__(
        self, app: faust.App, topic: str, pool: Pool, evaluate: Evaluate, give_up: Callable[[str], None],
        tracing: Tracing | None = None,
    ) -> None:  # fmt: skip
        """`evaluate` gets organizations' numbers. `give_up` ends the process and does not return."""
        self.app = app
        self.topic = topic
        self.applied: dict[TopicPartition, int] = {}
        """Per partition: the offset after the last evaluated message."""
        self.ticked: dict[str, tuple[float, float]] = {}
        """Per timer: time of its last completed run (monotonic seconds), and its interval."""
        self.skipped: dict[str, str] = {}
        """Per timer whose last run failed transiently: the reason."""
        self._pool = pool
        self._evaluate = evaluate
        self._give_up = give_up
        self._tracing = tracing or Tracing()
        raw = app.topic(
            topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True
        )
        self.reader = cast(Agent, app.agent(raw, name="totals", concurrency=1)(self._read_totals))

    async def _read_totals(self, stream: Any) -> None:
        """The stream's body. It must neither raise nor return, because Faust would stall or skip messages and report no
        problem."""
        try:
            # noack: messages that a crash interrupts are read again.
            async for batch in stream.noack_take(MESSAGES_MAX, within=TOGETHER_WITHIN_S):
                causes = list(dict.fromkeys(traceparent_of(event) for event in batch))
                with self._tracing.span(f"process {self.topic}", "consumer", causes, messaging__system="kafka"):
                    await self._attend(batch)
                for event in batch:
                    await stream.ack(event)
        except Exception:
            log.critical("the stream failed", exc_info=True)
            self._give_up("the stream failed")
        if not self.app.should_stop:
            self._give_up("the stream ended")

    async def _attend(self, batch: Sequence[Any]) -> None:
        try:
            numbers = await number_organizations(self._pool, read_organizations(event.value for event in batch))
            if numbers:
                await self._evaluate(numbers)
        except Exception as error:
            if not only_delays(error):
                raise
            log.warning("left to the sweep", messages=len(batch), reason=f"{type(error).__name__}: {error}")
        for event in batch:
            at = TopicPartition(event.message.topic, event.message.partition)
            self.applied[at] = event.message.offset + 1

    def every(self, interval_s: float, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run `work` at intervals. After a passing failure or a statement timeout, it waits for the next run. Any other
        failure ends the process."""
        self.ticked[name] = time.monotonic(), interval_s

        async def tick() -> None:
            await self._do(name, work)
            self.ticked[name] = time.monotonic(), interval_s

        self.app.timer(interval_s, name=name)(tick)

    def at(self, cron: str, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run `work` at the times of a crontab line, UTC."""

        async def tick() -> None:
            await self._do(name, work)

        self.app.crontab(cron)(tick)

    async def _do(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except Exception as error:
            if not only_delays(error):
                log.critical("a timer failed", timer=name, exc_info=True)
                self._give_up(f"the timer {name} failed")
            self.skipped[name] = f"{type(error).__name__}: {error}"
            log.warning("skipped once", timer=name, reason=self.skipped[name])
        else:
            self.skipped.pop(name, None)


class Senders(NamedTuple):
    """The senders of the outboxes."""

    mailer: Mailer
    deliverer: Deliverer
    producer: AIOKafkaProducer


def schedule(
    streams: Streams,
    settings: Settings,
    queues: Pool,
    evaluator: Evaluator,
    senders: Senders,
    now: Callable[[], datetime],
) -> None:
    """Start the timers."""
    mailer, deliverer, producer = senders
    streams.every(settings.wakeup_interval_s, "wakeups", lambda: drain_wakeups(queues, evaluator))
    answering, publishing = Rotation(), Rotation()
    streams.every(
        settings.wakeup_interval_s, "requests", lambda: answer_requests(queues, settings.mail_domain, now, answering)
    )
    streams.every(settings.mail_interval_s, "mail", mailer.tick)
    streams.every(settings.mail_interval_s, "channels", deliverer.tick)
    streams.every(
        settings.mail_interval_s,
        "topic",
        lambda: publish_alert_events(queues, producer, settings.alerts_topic, publishing),
    )
    streams.every(settings.sweep_interval_s, "sweep", lambda: evaluator.evaluate(None, trigger="sweep"))
    streams.every(LEFT_EVERY_S, "left", evaluator.evaluate_left)
    projector = Projector(queues, evaluator, settings.usage_events_topic, now)
    streams.every(PROJECT_EVERY_S, "project", projector.tick)
    streams.every(settings.sweep_interval_s, "measure", mailer.measure)
    streams.every(RETRY_EVERY_S, "quarantine", lambda: retry_quarantined(queues, evaluator))
    streams.at(ROLLOVER, "rollover", lambda: evaluator.evaluate(None, trigger="rollover", history=True))


def traceparent_of(event: Any) -> str:
    """Empty if the message has none."""
    header: bytes | None = event.headers.get(TRACEPARENT)
    return (header or b"").decode("ascii", "replace")


def read_organizations(values: Iterable[bytes | None]) -> set[str]:
    """Names in messages of usage.totals.v1. Unreadable messages are counted and left to the sweep."""
    names = set()
    for value in values:
        try:
            name = json.loads(value or b"")["organization"]
        except (ValueError, KeyError, TypeError, RecursionError):
            name = None
        if isinstance(name, str) and is_text(name):
            names.add(name)
        else:
            UNREADABLE.inc()
    return names


def is_text(name: str) -> bool:
    """Whether Postgres can store the text: it has no NUL and no surrogates."""
    return "\0" not in name and not any("\ud800" <= character <= "\udfff" for character in name)
