"""Distributes time among organizations: each does one chunk of work per turn, so that one with much work does not delay
the others."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

Place = TypeVar("Place")
TURNS_S = 0.5


class Turns(Generic[Place]):
    """Remembers between calls which organization is next and the place that each has reached in its work. An
    organization without work starts from the beginning."""

    def __init__(self) -> None:
        self.places: dict[int, Place] = {}
        self._last = -1

    async def take(
        self, organizations: Iterable[int], work: Callable[[int], Awaitable[bool]], for_s: float = TURNS_S
    ) -> set[int]:
        """Call `work` for the organizations in turn, for `for_s` seconds.

        `work(organization)` does one chunk and returns whether more is left. Returns the organizations with more work.
        The last chunk may exceed the time.
        """
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
