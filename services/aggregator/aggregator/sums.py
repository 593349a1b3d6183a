"""The limit of an organization's sums, as Postgres has them."""

import time
from collections.abc import Collection, Iterable

from runtime.postgres import Connection

from aggregator.aside import SUMS, quarantine
from aggregator.catalog import SQL
from aggregator.limits import SUM_LIMIT, SUM_MAX, Gross, Rooms, SumLimit, added_to, is_far
from aggregator.rollup import Decision, Rollups

ROOM_LOCK = 0x666C6503  # with the organization's number: one batch at a time counts near the limit


async def select_rooms(connection: Connection, organizations: Iterable[int]) -> Rooms:
    """What these organizations can still count, which nobody changes until the transaction ends."""
    numbers = sorted(organizations)
    if not numbers:
        return {}
    for number in numbers:
        await connection.execute(SQL["lock_room"], ROOM_LOCK, number)
    return {number: max(0, SUM_MAX - gross) for number, gross in await _sum_gross(connection, numbers)}


async def check_sums(
    connection: Connection, large: Collection[int], rollups: Rollups, rooms: Rooms, known: dict[int, Gross]
) -> None:
    """Raises SumLimit when one of these organizations, to whose sums was added without a look, is beyond the limit.
    `known` remembers what was found: adding up all corrections ever made takes too long for every batch."""
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
    """Operators shall see whose usage is held for good."""
    limited = {at.organization_id for at in decisions if at.waits_for == SUM_LIMIT}
    reason = "usage beyond the limit of what sums can keep, 10^12 credits, is held"
    await quarantine(connection, SUMS, sorted((number, reason) for number in limited))
