"""Live updates: one polling loop for each organization with open streams, shared by all its streams."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from runtime.postgres.line import Line, LineFull

from query_api.db.session import Unavailable
from query_api.metrics import POLLS_FAILED, WATCHERS

log = structlog.get_logger()


class Snapshot(NamedTuple):
    """Events for the streams. The tag changes with their content, but not with fields that depend on time only."""

    tag: str
    events_for: Callable[[str], bytes]
    """The events for a subject: a dismissed banner is hidden only from the person who dismissed it."""


TRANSIENT = (Unavailable, LineFull, TimeoutError)
"""Transient errors: Postgres is unavailable or busy."""

Poll = Callable[[], AbstractAsyncContextManager[Callable[[], Awaitable[Snapshot | None]]]]
"""Waits for a connection, then yields a function that returns a new snapshot, or None if unchanged. Raises Unavailable."""


@dataclass(frozen=True)
class LiveLimits:
    poll_s: float = 0.4
    """Changes must be visible within a second of their commit; a poll takes a few milliseconds."""
    heartbeat_s: float = 15.0  # proxies close silent connections after a minute, and only a write detects a dead client
    recheck_s: float = 5.0
    """How often access is checked again: the longest time a removed member keeps a stream."""
    per_organization_max: int = 50  # one organization's open tabs must not use up the limit of all
    in_all_max: int = 500
    """Half of the maximum number of connections of the process."""
    polls_at_once: int = 3  # of the pool's eight connections
    poll_within_s: float = 5.0
    """Timeout of a poll once it has its connection. After each poll the loop pauses for at least four times its duration, to
    limit the load of slow polls."""
    wait_s: float = 15.0
    """Maximum wait for a slot. Organizations poll in turn."""
    retry_max_s: float = 5.0
    """Maximum pause after failed polls: `poll_s`, doubled for each further failure."""


@dataclass
class WatchedOrganization:
    """An organization with open streams."""

    watchers: int = 0
    snapshot: Snapshot | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    polling: asyncio.Task[None] | None = None

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class LiveHub:
    """All organizations with open streams in this process."""

    def __init__(self, limits: LiveLimits | None = None) -> None:
        self.limits = limits or LiveLimits()
        self.is_closing = False
        self._watched: dict[str, WatchedOrganization] = {}
        self._turns = Line(self.limits.polls_at_once)

    def is_full(self, organization: str) -> bool:
        here = self._watched.get(organization)
        in_all = sum(watched.watchers for watched in self._watched.values())
        return in_all >= self.limits.in_all_max or (
            here is not None and here.watchers >= self.limits.per_organization_max
        )

    @asynccontextmanager
    async def watch(self, organization: str, poll: Poll) -> AsyncIterator[WatchedOrganization]:
        """Register a stream until the block ends. The first stream's `poll` is used for all."""
        watched = self._watched.setdefault(organization, WatchedOrganization())
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

    async def _keep_polling(self, organization: str, watched: WatchedOrganization, poll: Poll) -> None:
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
                    # An error affects only this organization's streams. They stay open, without events.
                    failed, before, reason = failed + 1, reason, f"{type(error).__name__}: {error}"
                    if reason != before:
                        is_waiting = isinstance(error, TRANSIENT)
                        write = log.warning if is_waiting else log.error
                        write("live poll failed", organization=organization, reason=reason, exc_info=not is_waiting)
                    POLLS_FAILED.labels("waiting" if isinstance(error, TRANSIENT) else "failed").inc()
                else:
                    failed, reason = 0, ""
                    if snapshot is not None and (watched.snapshot is None or snapshot.tag != watched.snapshot.tag):
                        watched.snapshot = snapshot
                        watched.wake()
                pause_s = min(
                    self.limits.poll_s * 2 ** min(failed, 10), max(self.limits.poll_s, self.limits.retry_max_s)
                )
                await asyncio.sleep(max(pause_s, 4 * took_s))
        finally:  # the next stream starts a new loop; wake present ones, so that they end
            if self._watched.get(organization) is watched:
                del self._watched[organization]
            watched.wake()

    async def close_after(self, stop: asyncio.Event) -> None:
        """End all streams when the process stops; shutdown would wait for them."""
        await stop.wait()
        self.is_closing = True
        for watched in list(self._watched.values()):
            watched.wake()
