"""Work of many organizations by turns: a chunk each, for a bounded time, so that one with much of it keeps nobody waiting."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

Place = TypeVar("Place")
TURNS_S = 0.5


class Turns(Generic[Place]):
    """Whose turn it is, and at which place of its work each organization stands, between calls. An organization without
    work begins again."""

    def __init__(self) -> None:
        self.places: dict[int, Place] = {}
        self._last = -1

    async def take(
        self, organizations: Iterable[int], work: Callable[[int], Awaitable[bool]], for_s: float = TURNS_S
    ) -> set[int]:
        """`work(organization)` does a chunk and returns whether more is left. Returns who has more after `for_s` seconds,
        which whoever comes next may exceed by one chunk."""
        clock = asyncio.get_running_loop().time
        ends, everyone = clock() + for_s, set(organizations)
        self.places = {number: place for number, place in self.places.items() if number in everyone}
        waiting = deque(sorted(everyone, key=lambda number: (number <= self._last, number)))
        while waiting:
            self._last = waiting.popleft()
            if await work(self._last):
                waiting.append(self._last)
            if clock() > ends:
                break
        return set(waiting)
