"""Reads the states of all organizations whose rows can be read, and finds the organizations whose rows cannot."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from runtime.isolation import concerns_one, slow_for_all
from runtime.postgres.pool import Pool

from alerter.db.queries import limit_statements, list_organizations, read_states
from alerter.domain.organization_state import OrganizationState

EVALUATION_S = 20.0
"""After this time, organizations are left to the next evaluation, because a timer that stops for a minute ends the
process."""
ALONE_S = 8.0
"""Time limit of a statement about a single organization."""
STATEMENT_S = 2.0
"""Time limit of a statement about some of the organizations, after the statement about all of them failed."""


class Readable(NamedTuple):
    """`left` has the reason why organizations were not read: no time was left, or Postgres is slow for all of them."""

    states: list[OrganizationState]
    failures: dict[int, Exception]
    left: Exception | None = None


async def read_readable(
    pool: Pool, organization_ids: Sequence[int] | None, begun_by: date, ended_after: date
) -> Readable:
    """Call read_states for these organizations (None: all). If it fails, find the failing organizations by
    bisection."""
    try:
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            if organization_ids is not None and len(organization_ids) == 1:
                await limit_statements(connection, ALONE_S)
            return Readable(await read_states(connection, organization_ids, begun_by, ended_after), {})
    except Exception as error:
        if not concerns_one(error):
            raise
        if organization_ids is None:
            organization_ids = await list_organizations(pool)
        if not organization_ids:
            raise
        if len(organization_ids) == 1:
            return Readable([], {organization_ids[0]: error})
    search = _Search(pool, (begun_by, ended_after), time.monotonic() + EVALUATION_S)
    await search.halve(organization_ids)
    if slow := slow_for_all(search.failures.values(), len(organization_ids) - search.left):
        return Readable([], {}, slow)
    left = TimeoutError(f"{search.left} organizations are left to the next evaluation") if search.left else None
    return Readable(search.states, search.failures, left)


@dataclass
class _Search:
    pool: Pool
    days: tuple[date, date]
    ends: float
    """Monotonic seconds."""
    states: list[OrganizationState] = field(default_factory=list)
    failures: dict[int, Exception] = field(default_factory=dict)
    left: int = 0
    """Number of organizations for which no time was left."""

    async def halve(self, organization_ids: Sequence[int]) -> None:
        half = len(organization_ids) // 2
        await self._read(organization_ids[:half])
        await self._read(organization_ids[half:])

    async def _read(self, organization_ids: Sequence[int]) -> None:
        if time.monotonic() > self.ends:
            self.left += len(organization_ids)
            return
        try:
            async with self.pool.acquire() as connection, connection.transaction(readonly=True):
                await limit_statements(connection, STATEMENT_S)
                self.states += await read_states(connection, organization_ids, *self.days)
        except Exception as error:
            if not concerns_one(error):
                raise
            if len(organization_ids) == 1:
                self.failures[organization_ids[0]] = error
            else:
                await self.halve(organization_ids)
