"""A fair queue for a limited number of places: keys get free places in turn, so that one with many requests does not
block others."""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_NEWEST_SHARE = 0.1
"""Weight of the newest holder in the average time for which a place is held."""
_KNOWN_MAX = 1_000
"""Keys whose average time is known."""


class LineFull(Exception):
    """No place became free in time, or none would, or too many requests wait for one. The reason is load, not a failure.

    `expected_wait_s` is how long a request would have to wait now, as far as it is known.
    """

    def __init__(self, reason: str, expected_wait_s: float) -> None:
        super().__init__(reason)
        self.expected_wait_s = expected_wait_s


def share_of(places: int) -> int:
    """How many of the places one key holds at most: three quarters, and at least one."""
    return max(1, places * 3 // 4)


class Line:
    """A fair queue for `places` places. One key holds at most its share of them. A free place goes to the next key
    in turn, and within a key to the request that came first."""

    def __init__(self, places: int, waiting_max: int = 300, *, clock: Callable[[], float] = time.monotonic) -> None:
        """At most `waiting_max` requests of one key wait. Further ones are refused at once, and so is a request that would
        wait too long behind others of its key."""
        self._places = places
        self._clock = clock
        self._held_s: OrderedDict[str, float] = OrderedDict()
        """For how long the keys that left last hold a place, as moving averages. With one average for all, slow requests of a key
        would refuse those of others."""
        self._each_max = share_of(places)
        self._waiting_max = waiting_max
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """In the order of the next turns of the keys."""

    @asynccontextmanager
    async def place(self, key: str, *, wait_s: float) -> AsyncIterator[None]:
        """Hold a place until the block ends. Raises LineFull, at once if the wait is expected to be longer than `wait_s`."""
        await self._take(key, wait_s)
        began = self._clock()
        try:
            yield
        finally:
            self._note(key, self._clock() - began)
            self._leave(key)

    def expect_wait_s(self, key: str) -> float:
        """About how long the next request of `key` waits, from those of this key alone: slow ones of others refuse none of its
        own. 0 as long as none has ended."""
        queue = self._waiting.get(key, ())
        if not queue and self._has_room(key):
            return 0.0
        keys = len({key, *self._taken, *self._waiting})
        return (len(queue) + 1) * self._usual_s(key) / min(max(1, self._places // keys), self._each_max)

    def _usual_s(self, key: str) -> float:
        """For how long the key usually holds a place; 0 as long as it is unknown."""
        return self._held_s.get(key, 0.0)

    def _note(self, key: str, held_s: float) -> None:
        before_s = self._held_s.pop(key, held_s)
        self._held_s[key] = before_s + _NEWEST_SHARE * (held_s - before_s)
        if len(self._held_s) > _KNOWN_MAX:
            self._held_s.popitem(last=False)

    async def _take(self, key: str, wait_s: float) -> None:
        if key not in self._waiting and self._has_room(key):
            self._taken[key] += 1
            return
        expected_s = self.expect_wait_s(key)
        if expected_s > wait_s and (key in self._taken or key in self._waiting):
            raise LineFull(f"the wait would be about {expected_s:.1f} s", expected_s)
        queue = self._waiting.setdefault(key, deque())
        if len(queue) >= self._waiting_max:
            raise LineFull(f"{len(queue)} wait already", expected_s)
        given = asyncio.get_running_loop().create_future()
        queue.append(given)
        try:
            async with asyncio.timeout(wait_s):
                await given
        except BaseException as error:
            if given.done() and not given.cancelled():
                self._leave(key)  # the place was given at the moment of the timeout or cancellation
            elif key in self._waiting and given in self._waiting[key]:
                self._waiting[key].remove(given)
                self._forget_empty(key)
            if isinstance(error, TimeoutError):
                raise LineFull(f"no place came free within {wait_s:g} s", self.expect_wait_s(key)) from None
            raise

    def _leave(self, key: str) -> None:
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]
        self._give()

    def _give(self) -> None:
        """Give free places to the keys in turn."""
        for key in list(self._waiting):
            if self._taken.total() >= self._places:
                return
            if not self._has_room(key):
                continue
            queue = self._waiting.pop(key)
            while queue and queue[0].done():
                queue.popleft()  # a request that was cancelled and has not run since
            if not queue:
                continue
            given = queue.popleft()
            if queue:
                self._waiting[key] = queue  # after the other keys
            self._taken[key] += 1
            given.set_result(None)

    def _has_room(self, key: str) -> bool:
        return self._taken.total() < self._places and self._taken[key] < self._each_max

    def _forget_empty(self, key: str) -> None:
        if not self._waiting[key]:
            del self._waiting[key]
