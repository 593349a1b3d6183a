"""Detects a consumer that has stopped while records wait, and reports the progress of counting."""

import time
from dataclasses import dataclass

from aiokafka import TopicPartition


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


class StuckDetector:
    """Remembers since when the position of each partition has not moved although records wait."""

    def __init__(self, topic: str, stuck_exit_s: float, state: ConsumerState) -> None:
        self._topic = topic
        self._stuck_exit_s = stuck_exit_s
        self._state = state
        self._moving: dict[TopicPartition, tuple[int, float]] = {}

    def reset(self) -> None:
        """Forget all positions, because other partitions are assigned."""
        self._moving.clear()
        self._state.stuck_since = None

    def restart(self) -> None:
        """Restart the timer: Kafka or Postgres is at fault, and a new process would not help."""
        self._moving.clear()

    def check(self, ends: dict[TopicPartition, int], positions: dict[int, int]) -> None:
        """Raise Stalled when records wait and none has been counted for too long."""
        now, before = time.monotonic(), self._moving
        self._moving = {}
        for at, end in ends.items():
            position = positions[at.partition]
            last, since = before.get(at, (position, now))
            self._moving[at] = (position, now if position != last or position >= end else since)
        standing = [(since, at) for at, (position, since) in self._moving.items() if since < now]
        self._state.stuck_since = min(standing)[0] if standing else None
        for since, at in standing:
            if now - since > self._stuck_exit_s:
                position = positions[at.partition]
                raise Stalled(
                    f"{self._topic}/{at.partition} stands at {position} of {ends[at]} for {now - since:.0f} s"
                )
