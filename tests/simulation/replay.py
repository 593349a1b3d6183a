"""Repeats a history's statements on a real Postgres: the same statements must wait, and all rows must be equal."""

from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
from support.faults.interleaving import Session

Trace = list[tuple[Any, ...]]
COMMANDS = {
    "commit": "COMMIT", "savepoint": "SAVEPOINT event", "undo to savepoint": "ROLLBACK TO event", "forget savepoint": "RELEASE event",
}  # fmt: skip
NOT_COMPARED = {"copy_to_table", "plan_by_index"}
"""Answers that say how many rows COPY took, or what the real session did before."""


@asynccontextmanager
async def connect(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        yield connection
    finally:
        connection.terminate()


class Overtaken(Exception):
    """Postgres gave a lock to another waiting session than the simulation, which gives it to the first. Postgres does not
    keep the order when the locked row was updated: each waiting session then locks the new version of the row."""


class Mirror:
    """A real Postgres, with one session for each open session of the simulated Postgres."""

    def __init__(self, sql: Mapping[str, str], dsn: str, watcher: "asyncpg.Connection[asyncpg.Record]", stack: AsyncExitStack) -> None:  # fmt: skip
        self.compared = 0
        self.waited = 0
        self.failed = 0
        self._sql = sql
        self._dsn = dsn
        self._watcher = watcher
        self._stack = stack
        self._spare: list[Session] = []
        self._sessions: dict[int, Session] = {}

    async def replay(self, trace: Trace) -> None:
        """Raises AssertionError where the two differ, and Overtaken. Every transaction of a trace must end within the
        trace."""
        for what, number, *details in trace:
            if what == "begin":
                await self._begin(number, *details)
            elif what == "rollback":
                await self._undo(number)
            elif what in COMMANDS:
                await self._sessions[number].connection.execute(COMMANDS[what])
                if what == "commit":
                    self._spare.append(self._sessions.pop(number))
                    await self._resume_waiting()
            elif what == "failed":
                await self._expect_failure(number, *details)
            else:
                await self._compare(number, what == "done", *details)

    async def _begin(self, number: int, isolation: str | None) -> None:
        if not self._spare:
            connection = await self._stack.enter_async_context(connect(self._dsn))
            self._spare.append(Session(connection, self._watcher))
        self._sessions[number] = session = self._spare.pop()
        await session.connection.execute(f"BEGIN ISOLATION LEVEL {(isolation or 'read_committed').replace('_', ' ')}")

    async def _undo(self, number: int) -> None:
        session = self._sessions.pop(number)
        if session.is_waiting:
            await session.kill()
        else:
            await session.connection.execute("ROLLBACK")
            self._spare.append(session)
        await self._resume_waiting()

    async def _resume_waiting(self) -> None:
        """After locks were released: let waiting sessions continue until they finish or wait again."""
        for session in self._sessions.values():
            if session.is_waiting:
                await session.wait_done_or_blocked()

    async def _compare(self, number: int, is_done: bool, name: str, args: Any, rows: Any = ()) -> None:
        session = self._sessions[number]
        done = await (
            session.wait_done_or_blocked()
            if session.is_waiting
            else session.step(self._start(session.connection, name, args))
        )
        if not done and is_done:
            await self._check_overtaken(session)
        assert done == is_done, (
            f"session {number}: {name}{args} {'does not wait' if done else 'waits'} on Postgres,"
            f" for {await session.blockers()}; sessions are { {key: other.pid for key, other in self._sessions.items()} }"
        )
        if not done:
            self.waited += 1
            return
        answered = session.answer()
        if name not in NOT_COMPARED:
            answer = sorted(map(comparable, answered))
            assert answer == sorted(map(comparable, rows)), f"{name}{args}: {answer}, simulated {rows}"
        self.compared += 1

    async def _expect_failure(self, number: int, name: str, args: Any) -> None:
        """The statement must fail as it did in the simulation; a rollback to its savepoint follows."""
        session = self._sessions[number]
        done = await (
            session.wait_done_or_blocked()
            if session.is_waiting
            else session.step(self._start(session.connection, name, args))
        )
        if not done:
            await self._check_overtaken(session)
        assert done, f"session {number}: {name} waits on Postgres"
        try:
            session.answer()
        except asyncpg.UniqueViolationError:
            self.failed += 1
        else:
            raise AssertionError(f"session {number}: {name} does not fail on Postgres")

    def _start(self, connection: "asyncpg.Connection[asyncpg.Record]", name: str, args: Any) -> Awaitable[Any]:
        if name == "copy_to_table":
            table, body, columns = args
            return connection.copy_to_table(table, source=stream(body), columns=columns, format="binary")
        return connection.fetch(self._sql[name], *args)

    async def _check_overtaken(self, session: Session) -> None:
        """Raise Overtaken when all sessions that block this one still wait in the simulation, and no longer on Postgres."""
        ahead = {other.pid for other in self._sessions.values() if other.has_unread_result}
        if {*await session.blockers()} <= ahead:
            raise Overtaken

    async def abandon(self) -> None:
        """End all open transactions."""
        for session in [*self._sessions.values()]:
            await session.kill()
        self._sessions.clear()


@asynccontextmanager
async def open_mirror(sql: Mapping[str, str], dsn: str, watcher: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[Mirror]:  # fmt: skip
    async with AsyncExitStack() as stack:
        yield Mirror(sql, dsn, watcher, stack)


async def stream(body: bytes) -> AsyncIterator[bytes]:
    yield body


def comparable(row: Any) -> str:
    return repr(["" if value is None or value == "" else value for value in row])
