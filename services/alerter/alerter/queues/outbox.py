"""Sends an outbox in Postgres to other systems. A claim lasts longer than an attempt may take, so two processes never
send the same item at the same time."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic

import structlog
from runtime.isolation import concerns_one
from runtime.postgres.errors import transient_error_code
from runtime.postgres.pool import Pool

from alerter.db.quarantine_queries import Step
from alerter.domain.attempts import Attempt, reschedule
from alerter.queues.quarantine import UNWRITABLE, Quarantine
from alerter.queues.rotation import Item, Rotation

log = structlog.get_logger()

ROUNDS_FOR_S = 10.0
"""Time limit for sending a backlog in one tick, so that the watchdog does not take the timer for a stopped one."""
CLAIM_EVERY_S = 0.25
CLOSE_WITHIN_S = 3.0
LEASE_S = 60.0
"""Longer than an attempt and the write of its result may take together. After this time, items that a dead process
claimed are due again."""
UNWRITTEN_MAX = 10_000


class Outbox(ABC, Generic[Item]):
    """Sends due items, up to `at_once` at the same time. One organization has at most half of them."""

    def __init__(self, pool: Pool, step: Step, at_once: int) -> None:
        self._pool = pool
        self._step: Step = step
        self._at_once = at_once
        self.share = at_once // 2
        """The largest number of items that one organization may have in progress."""
        self._running: dict[asyncio.Task[None], Item] = {}
        """Attempts in progress."""
        self._failures: dict[int, Exception] = {}
        """Failures that organizations' own data caused since the last write to `quarantine`."""
        self._unwritten: dict[int, Attempt] = {}
        """Results by item that could not be written. Such an item is not sent again; only its result is written
        again."""
        self._quarantine = Quarantine(pool)
        self._rotation = Rotation()

    @abstractmethod
    async def claim(self, limit: int, running: Sequence[int], after: int) -> Sequence[Item]:
        """Claim up to `limit` due items of organizations above number `after`, for `LEASE_S` seconds. `running` has the
        organization of each attempt in progress; no organization gets more than its share."""

    @abstractmethod
    def number(self, item: Item) -> int:
        """The item's number in its table."""

    @abstractmethod
    async def send(self, item: Item) -> Attempt:
        """Make one attempt within a time limit. A failure of the receiver is returned as a result, not raised."""

    @abstractmethod
    def report(self, item: Item, attempt: Attempt) -> None:
        """Update metrics and write a log line."""

    @abstractmethod
    async def record_result(self, item: Item, attempt: Attempt) -> None:
        """Store the result of the claimed attempt. Idempotent."""

    async def send_due(self) -> int:
        """Send due items until none is left or ROUNDS_FOR_S is over, and wait for the results; returns the number of
        attempts."""
        clock, attempts = asyncio.get_running_loop().time, 0
        until = clock() + ROUNDS_FOR_S
        try:
            while (begun := await self._begin() if clock() < until else 0) or self._running:
                attempts += begun
                await self._wait(None)
        except asyncio.CancelledError:
            for task in self._running:
                task.cancel()
            raise
        await self._set_aside()
        return attempts

    async def tick(self) -> None:
        """Start attempts while items are due, up to ROUNDS_FOR_S. Attempts that hang continue into the next tick."""
        clock = asyncio.get_running_loop().time
        until = clock() + ROUNDS_FOR_S
        while await self._begin() and clock() < until:
            await self._wait(CLAIM_EVERY_S)
        await self._wait(0)
        await self._set_aside()

    async def close(self) -> None:
        """Wait up to CLOSE_WITHIN_S for the attempts in progress."""
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSE_WITHIN_S)

    async def _begin(self) -> int:
        """Claim as many items as there are free places, and start to send them."""
        limit = self._at_once - len(self._running)
        if limit <= 0:
            return 0
        running = [item.organization_id for item in self._running.values()]
        claimed = await self._rotation.take(lambda after: self.claim(limit, running, after))
        under_way = {self.number(item) for item in self._running.values()}
        # An item in progress is claimed again if its claim expired before its result was stored.
        items = [item for item in claimed if self.number(item) not in under_way]
        for item in items:
            self._running[asyncio.create_task(self._attempt(item))] = item
        return len(items)

    async def _wait(self, timeout_s: float | None) -> None:
        """Wait until an attempt ends, or for `timeout_s`. Raises an attempt's exception if no organization's data
        caused it."""
        if self._running:
            done, _ = await asyncio.wait(self._running, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                self._running.pop(task, None)
            for error in [error for task in done if (error := task.exception())]:
                raise error

    async def _set_aside(self) -> None:
        failures, self._failures = self._failures, {}
        await self._quarantine.add(self._step, failures)

    async def _attempt(self, item: Item) -> None:
        attempt = self._unwritten.pop(self.number(item), None)
        if attempt is None:
            try:
                attempt = await self.send(item)
            except Exception as error:
                self._failures[item.organization_id] = error
                attempt = reschedule(UNWRITABLE, self.waited_s(item))
            self._report(item, attempt)
        try:
            await self._write_down(item, attempt)
        except Exception as error:
            if len(self._unwritten) < UNWRITTEN_MAX:
                self._unwritten[self.number(item)] = attempt
            if not concerns_one(error):
                raise
            self._failures[item.organization_id] = error

    @abstractmethod
    def waited_s(self, item: Item) -> float:
        """Seconds since the item was written or requested again."""

    def _report(self, item: Item, attempt: Attempt) -> None:
        try:
            self.report(item, attempt)
        except Exception as error:
            self._failures[item.organization_id] = error

    async def _write_down(self, item: Item, attempt: Attempt) -> None:
        """Store a result. Retries for as long as the claim lasts, because an item without a stored result is sent
        again."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + LEASE_S
        while True:
            try:
                return await self.record_result(item, attempt)
            except Exception as error:
                if transient_error_code(error) is None or clock() > deadline:
                    raise
                log.warning("not written down yet", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(0.5)
