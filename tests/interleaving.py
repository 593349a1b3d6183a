"""Sessions of a real Postgres that take turns: a step that waits for another session is noticed, and the schedule goes on."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from itertools import combinations
from typing import Any

import asyncpg

NOTICED_WITHIN_S = 20.0


class Session:
    """One connection, and what it waits for."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", watcher: "asyncpg.Connection[asyncpg.Record]") -> None:  # fmt: skip
        self.connection = connection
        self._watcher = watcher
        self._pid = connection.get_server_pid()
        self._waiting: asyncio.Future[Any] | None = None

    @property
    def is_waiting(self) -> bool:
        return self._waiting is not None

    async def step(self, work: Awaitable[Any]) -> bool:
        """Begin a step; True when it is done, False when it waits for another session."""
        assert self._waiting is None
        self._waiting = asyncio.ensure_future(work)
        return await self.settle()

    async def settle(self) -> bool:
        """Whether the step is done by now, once that is certain. Raises what the step raised."""
        assert self._waiting is not None
        async with asyncio.timeout(NOTICED_WITHIN_S):
            while not self._waiting.done():
                await asyncio.wait([self._waiting], timeout=0.002)
                if not self._waiting.done() and await self._watcher.fetchval("SELECT pg_blocking_pids($1)", self._pid):
                    return False
        return True

    def answer(self) -> Any:
        """Of the step that is done."""
        assert self._waiting is not None
        done, self._waiting = self._waiting, None
        return done.result()

    async def kill(self) -> None:
        """End the connection, whatever it does, and wait until Postgres has undone its transaction."""
        await self._watcher.fetchval("SELECT pg_terminate_backend($1, 10000)", self._pid)
        if self._waiting is not None:
            await asyncio.wait([self._waiting])
            self._waiting.exception()
            self._waiting = None
        self.connection.terminate()


def schedules(mine: int, others: int) -> Iterator[Sequence[int]]:
    """Every order in which two sessions, 0 and 1, may take so many steps each."""
    for places in combinations(range(mine + others), mine):
        yield [0 if at in places else 1 for at in range(mine + others)]
