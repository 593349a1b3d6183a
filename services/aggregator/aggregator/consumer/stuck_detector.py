"""Detects a consumer that has stopped while records wait, and reports the progress of counting."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf

from aiokafka import TopicPartition

CHECK_GAP_S = 10.0
"""Checks are a second apart. Of a longer gap only so much counts as standing: the process itself did not run then."""


class Stalled(Exception):
    """A consumer has stopped without an error, as was seen with aiokafka. Only a new process helps."""


@dataclass
class ConsumerState:
    """Progress of counting, for the readiness probe. The thread of the probe reads these attributes; only the event
    loop sets them."""

    is_positioned: bool = False
    batch_began: float | None = None
    """Monotonic seconds; None between batches."""
    stuck_since: float | None = None
    """Monotonic seconds; None while all waiting records are being counted."""

    def why_no_progress(self, stall_s: float) -> str | None:
        """The problem when no record has been counted for longer than `stall_s` seconds, else None."""
        now, began, stuck_since = time.monotonic(), self.batch_began, self.stuck_since
        if began is not None and now - began > stall_s:
            return f"a batch has taken more than {stall_s:g} s"
        if stuck_since is not None and now - stuck_since > stall_s:
            return f"records wait, and none has been counted for {now - stuck_since:.0f} s"
        return None


@dataclass(frozen=True)
class Waiting:
    """A partition with uncounted records whose position does not move."""

    position: int
    ends: Mapping[TopicPartition, int]
    """Ends of all logs when the position was first seen here: the records before them wait for no longer time."""
    since: float
    """Clock seconds at which this partition, or another one's records before `ends`, last moved."""


class StuckDetector:
    """Finds partitions that have stopped while records wait.

    A consumer serves one partition after another, so a partition may stand while the others are counted. It is waiting
    its turn as long as the others count records that already waited when it began to stand. Records that arrived later
    do not excuse it. So a healthy process under any load is not stuck, and a partition that never moves again cannot
    hide behind busy ones: that excuse ends when the finite backlog is counted.
    """

    def __init__(
        self, topic: str, stuck_exit_s: float, state: ConsumerState, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._topic = topic
        self._stuck_exit_s = stuck_exit_s
        self._state = state
        self._clock = clock
        self._checked_at = clock()
        self._positions: dict[int, int] = {}
        self._waiting: dict[TopicPartition, Waiting] = {}

    def reset(self) -> None:
        """Forget all positions, because other partitions are assigned."""
        self._waiting.clear()
        self._state.stuck_since = None

    def restart(self) -> None:
        """Restart the timer: Kafka or Postgres is at fault, and a new process would not help."""
        self._waiting.clear()

    def check(self, ends: Mapping[TopicPartition, int], positions: Mapping[int, int]) -> None:
        """Compare ends and positions of the assigned partitions with those of the previous check. Raises Stalled when a
        partition is stuck for longer than `stuck_exit_s`."""
        now = self._clock()
        unseen_s = max(0.0, now - self._checked_at - CHECK_GAP_S)
        before, self._positions, self._checked_at = self._positions, dict(positions), now
        moved = {at: before[at.partition] for at in ends if before.get(at.partition, inf) < positions[at.partition]}
        waiting = {}
        for at, end in ends.items():
            position, last = positions[at.partition], self._waiting.get(at)
            if position >= end:
                continue
            if last is None or last.position != position:
                waiting[at] = Waiting(position, ends, now)
            elif any(began < last.ends.get(other, 0) for other, began in moved.items()):
                waiting[at] = replace(last, since=now)
            else:
                waiting[at] = replace(last, since=last.since + unseen_s)
        self._waiting = waiting
        standing = [(each.since, at) for at, each in waiting.items() if each.since < now]
        self._state.stuck_since = min(standing)[0] if standing else None
        for since, at in standing:
            if now - since > self._stuck_exit_s:
                raise Stalled(
                    f"{self._topic}/{at.partition} stands at {positions[at.partition]} of {ends[at]} for"
                    f" {now - since:.0f} s"
                )
