"""An outbox in Postgres -> the outside. What is sent is claimed for longer than sending may take, so two processes never
send it at once."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, TypeVar

import structlog
from runtime.postgres import passing_failure

from alerter.store import Attempt

log = structlog.get_logger()

ROUNDS_FOR_S = 10.0
"""A backlog is sent in rounds for so long at a time: a receiver that hangs must not look like a timer that stopped."""
LEASE_S = 60.0
"""Longer than sending and writing down may take together; what a dead process had claimed is due again then."""
RETRY_S = (1, 2, 5, 10, 30, 60, 300, 900, 1800, 3600)
"""Waits between attempts, by how long something has waited; the last one repeats. A server that was restarted, and
greylisting, cost seconds to minutes."""
GIVE_UP_AFTER_S = 72 * 3600.0
DETAIL_CHARACTERS_MAX = 500

Item = TypeVar("Item")


class Outbox(ABC, Generic[Item]):
    """Sends what is due."""

    @abstractmethod
    async def claim(self) -> Sequence[Item]:
        """Take a few items that are due, for `LEASE_S` seconds."""

    @abstractmethod
    async def send(self, item: Item) -> Attempt:
        """One attempt, within bounds; its failure is an outcome."""

    @abstractmethod
    def tell(self, item: Item, attempt: Attempt) -> None:
        """Metrics and the log."""

    @abstractmethod
    async def settle(self, item: Item, attempt: Attempt) -> None:
        """Write down how the claimed attempt ended. Safe to repeat."""

    async def send_due(self) -> int:
        """Send what is due, in rounds, for a while; returns how many attempts were made."""
        clock, attempts = asyncio.get_running_loop().time, 0
        until = clock() + ROUNDS_FOR_S
        while clock() < until and (items := await self.claim()):
            await asyncio.gather(*(self._attempt(item) for item in items))
            attempts += len(items)
        return attempts

    async def _attempt(self, item: Item) -> None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + LEASE_S
        attempt = await self.send(item)
        self.tell(item, attempt)
        while (
            True
        ):  # what was sent and is not written down goes out twice, so Postgres is waited for as long as the claim
            try:
                return await self.settle(item, attempt)
            except Exception as error:
                if passing_failure(error) is None or clock() > deadline:
                    raise
                log.warning("not written down yet", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(0.5)


def put_off(detail: str, waited_s: float, at_least_s: float = 0.0) -> Attempt:
    """Deferred, or refused when it has waited for too long."""
    if waited_s > GIVE_UP_AFTER_S:
        return Attempt("refused", f"given up after {GIVE_UP_AFTER_S / 86400:.0f} days: {detail}")
    return Attempt("deferred", detail, max(at_least_s, next_wait_s(waited_s)))


def next_wait_s(waited_s: float) -> float:
    """The wait after an attempt at something that has waited for so long."""
    return next(
        (wait for wait, until in zip(RETRY_S, accumulate(RETRY_S), strict=True) if waited_s < until), RETRY_S[-1]
    )


def brief(text: str) -> str:
    """A server's words on one line: they are shown to people, and Postgres takes no NUL."""
    return " ".join(text.replace("\0", " ").split())[:DETAIL_CHARACTERS_MAX]
