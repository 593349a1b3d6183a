"""Enforces the limit of the sums of an organization, with the sums that Postgres has."""

import time
from collections.abc import Collection, Iterable

from runtime.postgres.pool import Connection, Pool

from aggregator.db.catalog_cache import Catalog
from aggregator.db.quarantine import SUMS, quarantine
from aggregator.db.statements import SQL
from aggregator.domain.rollup import Decision, Rollups
from aggregator.domain.sum_limit import SUM_LIMIT, SUM_MAX, Gross, Rooms, SumLimit, added_to, is_far

PORTION = 50_000  # held events per statement, which takes one or two seconds
ROOM_LOCK = 0x666C6503  # used with the number of the organization: one batch at a time counts near the limit


async def select_rooms(connection: Connection, organizations: Iterable[int]) -> Rooms:
    """The micro-credits that these organizations can still count. No other transaction changes them until this one
    ends."""
    numbers = sorted(organizations)
    if not numbers:
        return {}
    for number in numbers:
        await connection.execute(SQL["lock_room"], ROOM_LOCK, number)
    return {number: max(0, SUM_MAX - gross) for number, gross in await _sum_gross(connection, numbers)}


async def check_sums(
    connection: Connection, large: Collection[int], rollups: Rollups, rooms: Rooms, known: dict[int, Gross]
) -> None:
    """Raise SumLimit when the sums of one of these organizations, added without a check, exceed the limit.

    `known` caches the sums that were found: adding up all corrections takes too long to do for every batch.
    """
    now = time.monotonic()
    numbers = [at for at in set(large) - rooms.keys() if not is_far(known.get(at), added_to(at, rollups), now)]
    if numbers:
        found = await _sum_gross(connection, sorted(numbers))
        known.update((number, Gross(gross, now)) for number, gross in found)
        if beyond := [number for number, gross in found if gross > SUM_MAX]:
            raise SumLimit(beyond)


async def _sum_gross(connection: Connection, numbers: list[int]) -> list[tuple[int, int]]:
    return [(row["organization_id"], int(row["gross"])) for row in await connection.fetch(SQL["sum_gross"], numbers)]


async def note_limited(connection: Connection, decisions: Iterable[Decision]) -> None:
    """Show operators the organizations whose usage is held beyond the limit."""
    limited = {at.organization_id for at in decisions if at.waits_for == SUM_LIMIT}
    reason = "usage beyond the limit of what sums can keep, 10^12 credits, is held"
    await quarantine(connection, SUMS, sorted((number, reason) for number in limited))


async def unlimit_due(pool: Pool, catalog: Catalog, portion: int = PORTION) -> bool:
    """Retry held usage beyond the limit for organizations for which an operator asked, a portion for each.

    Returns whether there may be more. Usage that still does not fit is not retried again: it lies before the place that
    `catalog` remembers.
    """
    due = {row["organization_id"] for row in await pool.fetch(SQL["select_due"], [SUMS])}
    for organization_id in sorted(due | catalog.unlimiting.keys()):
        place = catalog.unlimiting.get(organization_id, (-1, -1, -1))
        async with pool.acquire() as connection, connection.transaction():
            is_due = await connection.fetch(SQL["lock_due"], organization_id, SUMS)
            rows = await connection.fetch(SQL["unlimit_held"], organization_id, *place, portion)
            if not rows and is_due:
                await connection.execute(SQL["delete_quarantine"], SUMS, [organization_id])
        if rows:
            last = rows[0]
            catalog.unlimiting[organization_id] = last["series_id"], last["kafka_partition"], last["kafka_offset"]
        else:
            catalog.unlimiting.pop(organization_id, None)
    return bool(catalog.unlimiting)
