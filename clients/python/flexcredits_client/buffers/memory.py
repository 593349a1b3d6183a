"""Events in memory."""

from collections import deque
from itertools import islice


class MemoryBuffer:
    """Bounded by number and bytes."""

    is_durable = False

    def __init__(self, events_max: int, bytes_max: int) -> None:
        self._events: deque[bytes] = deque()
        self._events_max, self._bytes_max = events_max, bytes_max
        self._bytes = 0

    def append(self, event: bytes) -> None:
        size = len(event)
        self._events.append(event)
        self._bytes += size

    def has_room(self, size: int) -> bool:
        # An empty buffer takes any event: one above the limit would never find room.
        return not self._events or (len(self._events) < self._events_max and self._bytes + size <= self._bytes_max)

    def keep_synced(self, limit_s: float | None) -> float | None:
        return limit_s

    def head(self, count: int, size: int) -> list[bytes]:
        return fitting(islice(self._events, count), size)

    def drop(self, count: int) -> None:
        for _ in range(count):
            self._bytes -= len(self._events.popleft())

    def __len__(self) -> int:
        return len(self._events)

    @property
    def bytes(self) -> int:
        return self._bytes

    def close(self) -> None:
        self._events.clear()
        self._bytes = 0

    abandon = close


def fitting(events: "islice[bytes]", size: int) -> list[bytes]:
    """The first of these events that have at most `size` bytes together, but at least one."""
    taken: list[bytes] = []
    for event in events:
        size -= len(event)
        if size < 0 and taken:
            break
        taken.append(event)
    return taken
