"""Who watches an organization live: one loop for each organization that is watched, however many watch it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from runtime.postgres.line import Line, LineFull

from query_api.db.session import Unavailable
from query_api.metrics import LOOKS_FAILED, WATCHERS

log = structlog.get_logger()


class Snapshot(NamedTuple):
    """What is shown; the tag changes with it, and not with the seconds that pass."""

    tag: str
    events_for: Callable[[str], bytes]
    """By the subject of who watches: a banner is dismissed by one person, and shown to the others."""


WAITING = (Unavailable, LineFull, TimeoutError)
"""A database that is away or busy: nobody's fault, and over by itself."""

Poll = Callable[[], AbstractAsyncContextManager[Callable[[], Awaitable[Snapshot | None]]]]
"""Waits for a connection, then gives a function that finds a new snapshot, or None. Raises Unavailable."""


@dataclass(frozen=True)
class LiveLimits:
    poll_s: float = 0.4
    """A change is shown within a second of its commit, and a poll takes a few milliseconds."""
    heartbeat_s: float = 15.0  # proxies close what is silent for a minute, and a dead peer is only noticed by writing
    recheck_s: float = 5.0
    """How long who was removed goes on watching."""
    per_organization_max: int = 50  # one organization's open tabs must not use up what all have
    in_all_max: int = 500
    """Half of the connections that the process takes."""
    polls_at_once: int = 3  # of the pool's eight connections
    poll_within_s: float = 5.0
    """A poll that takes longer, once it has its connection, is given up. An organization whose polls are slow pauses for
    four times as long after each."""
    wait_s: float = 15.0
    """For a turn to poll. Organizations take turns."""
    retry_max_s: float = 5.0
    """Failed polls are repeated after `poll_s`, doubled with every further one, up to this."""


@dataclass
class Watched:
    """An organization that somebody watches."""

    watchers: int = 0
    snapshot: Snapshot | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    polling: asyncio.Task[None] | None = None

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class LiveHub:
    """Every organization that is watched in this process."""

    def __init__(self, limits: LiveLimits | None = None) -> None:
        self.limits = limits or LiveLimits()
        self.is_closing = False
        self._watched: dict[str, Watched] = {}
        self._turns = Line(self.limits.polls_at_once)

    def is_full(self, organization: str) -> bool:
        here = self._watched.get(organization)
        in_all = sum(watched.watchers for watched in self._watched.values())
        return in_all >= self.limits.in_all_max or (
            here is not None and here.watchers >= self.limits.per_organization_max
        )

    @asynccontextmanager
    async def watch(self, organization: str, poll: Poll) -> AsyncIterator[Watched]:
        """Watch until the block ends; The first watcher's `poll` serves all."""
        watched = self._watched.setdefault(organization, Watched())
        watched.watchers += 1
        WATCHERS.inc()
        if watched.polling is None:
            watched.polling = asyncio.create_task(self._keep_polling(organization, watched, poll))
        try:
            yield watched
        finally:
            watched.watchers -= 1
            WATCHERS.dec()
            if watched.watchers == 0:
                watched.polling.cancel()
                if self._watched.get(organization) is watched:
                    del self._watched[organization]

    async def _keep_polling(self, organization: str, watched: Watched, poll: Poll) -> None:
        clock, failed, reason = asyncio.get_running_loop().time, 0, ""
        try:
            while True:
                took_s = 0.0
                try:
                    async with self._turns.place(organization, wait_s=self.limits.wait_s), poll() as find_news:
                        began = clock()
                        try:
                            async with asyncio.timeout(self.limits.poll_within_s):
                                snapshot = await find_news()
                        finally:
                            took_s = clock() - began
                except Exception as error:
                    # Whatever this organization's data raises concerns its own streams alone, which stay open and silent.
                    failed, before, reason = failed + 1, reason, f"{type(error).__name__}: {error}"
                    if reason != before:
                        is_waiting = isinstance(error, WAITING)
                        write = log.warning if is_waiting else log.error
                        write("nothing to show live", organization=organization, reason=reason, exc_info=not is_waiting)
                    LOOKS_FAILED.labels("waiting" if isinstance(error, WAITING) else "failed").inc()
                else:
                    failed, reason = 0, ""
                    if snapshot is not None and (watched.snapshot is None or snapshot.tag != watched.snapshot.tag):
                        watched.snapshot = snapshot
                        watched.wake()
                pause_s = min(
                    self.limits.poll_s * 2 ** min(failed, 10), max(self.limits.poll_s, self.limits.retry_max_s)
                )
                await asyncio.sleep(max(pause_s, 4 * took_s))
        finally:  # a later watcher begins again, and present ones see the end
            if self._watched.get(organization) is watched:
                del self._watched[organization]
            watched.wake()

    async def close_after(self, stop: asyncio.Event) -> None:
        """End what is watched when the process stops, which else would wait for it."""
        await stop.wait()
        self.is_closing = True
        for watched in list(self._watched.values()):
            watched.wake()
