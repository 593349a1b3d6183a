"""Runs two sessions of a real Postgres step by step in a given order. A step that waits for another session does not stop the schedule."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import combinations
from typing import Any

import asyncpg
from support.repository.statement_texts import without_partition

DETECTED_WITHIN_S = 20.0


class Session:
    """One connection, and the step that it runs."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", watcher: "asyncpg.Connection[asyncpg.Record]") -> None:  # fmt: skip
        self.connection = connection
        self._watcher = watcher
        self.pid = connection.get_server_pid()
        self._waiting: asyncio.Future[Any] | None = None

    @property
    def is_waiting(self) -> bool:
        return self._waiting is not None

    @property
    def has_unread_result(self) -> bool:
        """Whether the step that waited is done, and answer() was not called yet."""
        return self._waiting is not None and self._waiting.done()

    async def step(self, work: Awaitable[Any]) -> bool:
        """Start a step. True: it is done. False: it waits for another session."""
        assert self._waiting is None
        self._waiting = asyncio.ensure_future(work)
        return await self.wait_done_or_blocked()

    async def wait_done_or_blocked(self) -> bool:
        """Wait until the step is done (True) or waits for another session (False)."""
        assert self._waiting is not None
        async with asyncio.timeout(DETECTED_WITHIN_S):
            while not self._waiting.done():
                await asyncio.wait([self._waiting], timeout=0.002)
                if not self._waiting.done() and await self.blockers():
                    return False
        return True

    async def blockers(self) -> list[int]:
        """Process ids of the clients' sessions that block this one. An autovacuum worker may too, for a moment."""
        found: list[int] = await self._watcher.fetchval(
            "SELECT array(SELECT unnest(pg_blocking_pids($1)) INTERSECT"
            " SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend')",
            self.pid,
        )
        return found

    def answer(self) -> Any:
        """Result of the finished step; raises its exception."""
        assert self._waiting is not None
        done, self._waiting = self._waiting, None
        return done.result()

    async def kill(self) -> None:
        """Terminate the connection and wait until Postgres has rolled back its transaction."""
        await self._watcher.fetchval("SELECT pg_terminate_backend($1, 10000)", self.pid)
        if self._waiting is not None:
            await asyncio.wait([self._waiting])
            self._waiting.exception()
            self._waiting = None
        self.connection.terminate()


def schedules(mine: int, others: int) -> Iterator[Sequence[int]]:
    """Every order of `mine` steps of session 0 and `others` steps of session 1."""
    for places in combinations(range(mine + others), mine):
        yield [0 if at in places else 1 for at in range(mine + others)]


class Turns:
    """A pool with one connection for a service's code. Each named statement waits once until step() lets it run."""

    def __init__(
        self, session: Session, sql: Mapping[str, str], named: Sequence[str],
        *, instead: Mapping[str, str] | None = None, isolated: bool = True,
    ) -> None:  # fmt: skip
        """A name may also be `commit`. `instead` replaces texts of statements. Without `isolated`, every transaction is
        READ COMMITTED."""
        self.session = session
        self._names = {sql[name]: name for name in named if name != "commit"}
        self._ahead = {*named}
        self._instead = {sql[name]: text for name, text in (instead or {}).items()}
        self._isolated = isolated
        self._at_gate = asyncio.Event()
        self._may_go = asyncio.Event()
        self._work: asyncio.Future[Any] | None = None
        self.is_waiting = False

    async def begin(self, work: Awaitable[Any]) -> None:
        """Run up to the first named step."""
        self._work = asyncio.ensure_future(work)
        await self.wait_done_or_blocked()

    @property
    def is_done(self) -> bool:
        return self._work is not None and self._work.done()

    async def step(self) -> None:
        """Run the next named step, and continue up to the one after it or until another session blocks."""
        self._at_gate.clear()
        self._may_go.set()
        await self.wait_done_or_blocked()

    async def wait_done_or_blocked(self) -> None:
        assert self._work is not None
        arrived = asyncio.ensure_future(self._at_gate.wait())
        self.is_waiting = False
        async with asyncio.timeout(DETECTED_WITHIN_S):
            while not self._work.done() and not arrived.done() and not self.is_waiting:
                await asyncio.wait([self._work, arrived], timeout=0.002, return_when=asyncio.FIRST_COMPLETED)
                if not self._work.done() and not arrived.done():
                    self.is_waiting = bool(await self.session.blockers())
        arrived.cancel()

    async def result(self) -> Any:
        assert self._work is not None
        return await self._work

    async def end(self) -> None:
        """Cancel the work and wait for its end."""
        assert self._work is not None
        self._work.cancel()
        await asyncio.wait([self._work])
        if not self._work.cancelled():
            self._work.exception()

    async def _take_turn(self, name: str | None) -> None:
        if name in self._ahead:
            self._ahead.discard(name)
            self._may_go.clear()
            self._at_gate.set()
            await self._may_go.wait()

    @asynccontextmanager
    async def acquire(self, **_: float) -> AsyncIterator["Turns"]:
        yield self

    @asynccontextmanager
    async def transaction(self, isolation: Any = None, readonly: bool = False) -> AsyncIterator[None]:
        mode = isolation if self._isolated else None
        async with self.session.connection.transaction(isolation=mode, readonly=readonly):
            yield
            await self._take_turn("commit")

    async def fetch(self, text: str, *args: Any) -> list[Any]:
        await self._take_turn(self._names.get(without_partition(text)))
        return await self.session.connection.fetch(self._instead.get(text, text), *args)

    async def fetchrow(self, text: str, *args: Any) -> Any:
        return next(iter(await self.fetch(text, *args)), None)

    async def fetchval(self, text: str, *args: Any) -> Any:
        row = await self.fetchrow(text, *args)
        return None if row is None else row[0]

    async def execute(self, text: str, *args: Any) -> None:
        await self.fetch(text, *args)

    async def copy_to_table(self, table: str, **options: Any) -> None:
        await self.session.connection.copy_to_table(table, **options)

    async def executemany(self, text: str, every: Iterable[Sequence[Any]]) -> None:
        for args in every:
            await self.fetch(text, *args)


async def interleave(schedule: Sequence[int], sides: Sequence[Turns]) -> int:
    """Run the steps of two started sessions in the order of `schedule`; a blocked session's steps come after the blocker's.
    Returns how many steps waited."""
    waited, ahead = 0, [*schedule, 0, 1] * 2
    while not all(side.is_done for side in sides):
        free = [at for at in ahead if not sides[at].is_waiting and not sides[at].is_done]
        assert free, "both sessions wait: deadlock"
        ahead.remove(free[0])
        await sides[free[0]].step()
        waited += sides[free[0]].is_waiting
        for side in sides:
            if side.is_waiting:
                await side.wait_done_or_blocked()
    return waited
