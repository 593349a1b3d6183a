"""Limits the events that a key may send, and the bytes in memory of all requests. Pure."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WINDOW_S = 10
KEYS_MAX = 10_000


class OverQuota(Exception):
    """The key has sent more events than it may."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Quota:
    """Limits each key in this process to `events_per_second` on average over ten seconds; 0 is no limit.

    A request is accepted or refused as a whole, so a bucket may fall below zero. The key then waits until the bucket is
    positive again, so the average holds for requests of any size.
    """

    def __init__(self, events_per_second: float, clock: Callable[[], float]) -> None:
        self._rate = events_per_second
        self._full = max(1.0, events_per_second * WINDOW_S)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # events left, and the time of that value

    def check(self, key_id: str) -> None:
        """Raise OverQuota if no event is left."""
        left = self._left(key_id)
        if left < 1:
            raise OverQuota(math.ceil((1 - left) / self._rate))

    def charge(self, key_id: str, events: int) -> None:
        """Take `events` out of the bucket; a negative number returns them."""
        if self._rate:
            self._buckets[key_id] = min(self._full, self._left(key_id) - events), self._clock()
            self._buckets.move_to_end(key_id)
            if len(self._buckets) > KEYS_MAX:
                self._buckets.popitem(last=False)

    def headers(self, key_id: str) -> dict[str, str]:
        """RateLimit fields of draft-ietf-httpapi-ratelimit-headers-11; empty without a limit."""
        if not self._rate:
            return {}
        left = self._left(key_id)
        full_in_s = math.ceil((self._full - left) / self._rate)
        return {
            "RateLimit-Policy": f'"events";q={math.floor(self._full)};w={WINDOW_S}',
            "RateLimit": f'"events";r={max(0, math.floor(left))};t={full_in_s}',
        }

    def _left(self, key_id: str) -> float:
        if not self._rate:
            return math.inf
        left, counted_at = self._buckets.get(key_id, (self._full, self._clock()))
        return min(self._full, left + (self._clock() - counted_at) * self._rate)


class OverBudget(Exception):
    """The memory budget is used up at the moment."""


class MemoryBudget:
    """Counts the bytes held now, at most `bytes_max`: bodies that are being read, and records that Kafka has not
    acknowledged."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.held = 0

    def take(self, size: int) -> None:
        """Reserve bytes. Raises OverBudget, and then reserves nothing."""
        if self.held + size > self.bytes_max:
            raise OverBudget(f"{self.held} of {self.bytes_max} bytes are in flight")
        self.held += size

    def give(self, size: int) -> None:
        self.held -= size

    @contextmanager
    def reserve(self) -> Iterator["Reservation"]:
        """A reservation for one request. Its bytes are released at the end of the block."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self.give(reservation.size)


class Reservation:
    """The part of a budget that one request uses."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.size = 0

    def take(self, size: int) -> None:
        self._budget.take(size)
        self.size += size
