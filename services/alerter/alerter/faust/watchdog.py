"""Detects failures that Faust does not report: a stream that died or makes no progress, and a timer that stopped."""

import asyncio
import time
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from alerter.faust.stream import Streams

log = structlog.get_logger()
ENDS_WITHIN_S = 10.0


class Watchdog:
    """Compares progress with its limits. It asks Kafka over its own connection, which Faust cannot block."""

    def __init__(
        self, streams: Streams, consumer: AIOKafkaConsumer, stall_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._streams = streams
        self._consumer = consumer
        self._stall_s = stall_s
        self._clock = clock
        self._moved: dict[TopicPartition, tuple[int, float]] = {}
        self.checked_at = clock()
        self.assigned = 0
        """Number of partitions that the group had assigned to this process at the last check."""
        self.unreachable: str | None = None
        """Why Kafka did not answer at the last check."""
        self.late: str | None = None
        """A stream or timer whose delay must be reported, but is too short to end the process."""

    async def find_problem(self) -> str | None:
        """The reason why the process must be restarted; None if there is none."""
        self.checked_at = self._clock()
        self.assigned = len(self._streams.app.consumer.assignment())
        return self._app_problem() or self._timer_problem() or await self._lag_problem()

    def _app_problem(self) -> str | None:
        app = self._streams.app
        if app.crashed:
            return f"Faust crashed: {app.crash_reason!r}"
        actors = list(self._streams.reader._actors)
        if not actors or any(actor.actor_task is None or actor.actor_task.done() for actor in actors):
            return "the stream has no living task"
        return None

    def _timer_problem(self) -> str | None:
        now, self.late = self._clock(), None
        for name, (at, interval_s) in self._streams.ticked.items():
            waited_s, problem = now - at - interval_s, f"the timer {name} was last done {now - at:.0f} s ago"
            if waited_s > self._stall_s:
                return problem
            if waited_s > self._stall_s / 2:
                self.late = problem
        return None

    async def _lag_problem(self) -> str | None:
        """The problem if one of our partitions receives records but the stream makes no progress."""
        assigned = [TopicPartition(at.topic, at.partition) for at in self._streams.app.consumer.assignment()]
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                ends = await self._consumer.end_offsets(assigned) if assigned else {}
        except (KafkaError, TimeoutError) as error:
            self._moved.clear()  # without Kafka, no progress is expected
            self.unreachable = f"does not answer: {type(error).__name__}: {error}"
            return None
        self.unreachable = None
        now = self._clock()
        self._moved = {at: moved for at, moved in self._moved.items() if at in ends}
        for at, end in ends.items():
            # Records from before the first check may be below our starting position.
            applied, since = self._moved.get(at, (end, now))
            applied_now = max(self._streams.applied.get(at, 0), applied)
            if applied_now >= end or applied_now > applied or at not in self._moved:
                self._moved[at] = applied_now, now
            elif now - since > self._stall_s / 2:
                self.late = (
                    f"{at.topic}/{at.partition}: the stream stands at {applied_now} of {end} for {now - since:.0f} s"
                )
                if now - since > self._stall_s:
                    return self.late
        return None
