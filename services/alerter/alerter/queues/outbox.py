"""An outbox in Postgres -> the outside. What is sent is claimed for longer than sending may take, so two processes never
send it at once."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic

import structlog
from runtime.isolation import concerns_one
from runtime.postgres.errors import passing_failure
from runtime.postgres.pool import Pool

from alerter.db.quarantine_queries import Step
from alerter.domain.attempts import Attempt, reschedule
from alerter.queues.quarantine import UNWRITABLE, Quarantine
from alerter.queues.rotation import Item, Rotation

log = structlog.get_logger()

ROUNDS_FOR_S = 10.0
"""A backlog is sent for so long at a time: it must not look like a timer that stopped."""
CLAIM_EVERY_S = 0.25
CLOSE_WITHIN_S = 3.0
LEASE_S = 60.0
"""Longer than sending and writing down may take together; what a dead process had claimed is due again then."""
UNWRITTEN_MAX = 10_000


class Outbox(ABC, Generic[Item]):
    """Sends what is due, `at_once` side by side, of which one organization has half at most."""

    def __init__(self, pool: Pool, step: Step, at_once: int) -> None:
        self._pool = pool
        self._step: Step = step
        self._at_once = at_once
        self.share = at_once // 2
        """Of which one organization has no more."""
        self._running: dict[asyncio.Task[None], Item] = {}
        """Attempts under way."""
        self._failures: dict[int, Exception] = {}
        """What organizations' own data raised since it was last written down."""
        self._unwritten: dict[int, Attempt] = {}
        """Attempts that could not be written down, by item: they are not made a second time."""
        self._quarantine = Quarantine(pool)
        self._rotation = Rotation()

    @abstractmethod
    async def claim(self, limit: int, running: Sequence[int], after: int) -> Sequence[Item]:
        """Take a few items that are due, for `LEASE_S` seconds, of organizations behind number `after`. `running` has the
        organization of each attempt under way: none gets more than its share."""

    @abstractmethod
    def number(self, item: Item) -> int:
        """By which the item is known."""

    @abstractmethod
    async def send(self, item: Item) -> Attempt:
        """One attempt, within bounds; its failure is an outcome."""

    @abstractmethod
    def report(self, item: Item, attempt: Attempt) -> None:
        """Metrics and the log."""

    @abstractmethod
    async def record_result(self, item: Item, attempt: Attempt) -> None:
        """Write down how the claimed attempt ended. Safe to repeat."""

    async def send_due(self) -> int:
        """Send what is due, for a while, and wait for how it ends; returns how many attempts were made."""
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
        """Begin what is due, for as long as there is more of it, and leave what hangs to the next tick."""
        clock = asyncio.get_running_loop().time
        until = clock() + ROUNDS_FOR_S
        while await self._begin() and clock() < until:
            await self._wait(CLAIM_EVERY_S)
        await self._wait(0)
        await self._set_aside()

    async def close(self) -> None:
        """Let what is under way end, for a moment."""
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSE_WITHIN_S)

    async def _begin(self) -> int:
        """Claim as many as there is room for, and begin to send them."""
        limit = self._at_once - len(self._running)
        if limit <= 0:
            return 0
        running = [item.organization_id for item in self._running.values()]
        claimed = await self._rotation.take(lambda after: self.claim(limit, running, after))
        under_way = {self.number(item) for item in self._running.values()}
        items = [item for item in claimed if self.number(item) not in under_way]  # those are still written down
        for item in items:
            self._running[asyncio.create_task(self._attempt(item))] = item
        return len(items)

    async def _wait(self, timeout_s: float | None) -> None:
        """Until an attempt has ended, or for `timeout_s`. Raises what ended one and is no organization's own failure."""
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
        """Since it was written, or asked for again."""

    def _report(self, item: Item, attempt: Attempt) -> None:
        try:
            self.report(item, attempt)
        except Exception as error:
            self._failures[item.organization_id] = error

    async def _write_down(self, item: Item, attempt: Attempt) -> None:
        """What was sent and is not written down goes out twice, so Postgres is waited for as long as the claim."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + LEASE_S
        while True:
            try:
                return await self.record_result(item, attempt)
            except Exception as error:
                if passing_failure(error) is None or clock() > deadline:
                    raise
                log.warning("not written down yet", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(0.5)
