"""Limits the events that a key may send, and the requests and bytes in memory of each sender and of all. Pure."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WINDOW_S = 10
KEYS_MAX = 10_000
SHARE = 3
"""One request may hold three times the largest body: as received, inflated, and as records. That is three quarters of the
smallest budget, four bodies, so it finds room."""


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
    """A budget, or the sender's part of it, is used up at the moment."""


class Budget:
    """Counts what requests hold now, at most `most` in all: `unit` is bytes or requests.

    A sender may hold SHARE times as much as is still free, but no more (dynamic thresholds, Choudhury and Hahne, 1998). So one
    that sends large or slow requests without end holds at most three quarters, and each other one finds room.
    """

    def __init__(self, most: int, unit: str = "bytes") -> None:
        self.most = most
        self.held = 0
        self._unit = unit
        self._held_by: dict[str, int] = {}

    def take(self, sender: str, size: int) -> None:
        """Reserve so many. Raises OverBudget, and then reserves nothing."""
        own, free = self._held_by.get(sender, 0), self.most - self.held - size
        if own + size > SHARE * free:
            raise OverBudget(f"{own} {self._unit} of this sender are in flight, and {self.held} of {self.most} in all")
        self._held_by[sender] = own + size
        self.held += size

    def give(self, sender: str, size: int) -> None:
        self._held_by[sender] -= size
        if not self._held_by[sender]:
            del self._held_by[sender]
        self.held -= size

    @contextmanager
    def reserve(self, sender: str) -> Iterator["Reservation"]:
        """A reservation for one request, which is released at the end of the block."""
        reservation = Reservation(self, sender)
        try:
            yield reservation
        finally:
            if reservation.size:
                self.give(sender, reservation.size)


class Reservation:
    """The part of a budget that one request uses."""

    def __init__(self, budget: Budget, sender: str) -> None:
        self._budget = budget
        self._sender = sender
        self.size = 0

    def take(self, size: int) -> None:
        self._budget.take(self._sender, size)
        self.size += size
