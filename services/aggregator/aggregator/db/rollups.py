"""Adds sums to the rollup tables."""

from runtime.postgres.pool import Connection

from aggregator.db.statements import SQL
from aggregator.db.sums import check_sums
from aggregator.db.unnest import columns_of
from aggregator.domain.rollup import Rollups
from aggregator.domain.sum_limit import Gross, Rooms, check_batch


async def add_checked_rollups(
    connection: Connection, rollups: Rollups, rooms: Rooms, known: dict[int, Gross] | None = None
) -> None:
    """Add sums to the rollup tables, within the limit.

    Raises SumLimit when the sums of an organization without a reserved room exceed the limit. `known` holds the latest
    known large sums.
    """
    check_batch(rollups, rooms)
    large = await add_rollups(connection, rollups)
    if large:
        await check_sums(connection, large, rollups, rooms, {} if known is None else known)


async def add_rollups(connection: Connection, rollups: Rollups) -> list[int]:
    """Add sums to the rollup tables; add_days adds to the months too. Returns the organizations with large sums."""
    large: list[int] = []
    for statement, cells in (
        ("add_quarters", rollups.quarters),
        ("add_days", rollups.days),
        ("add_organization_days", rollups.organization_days),
        ("add_corrections", rollups.corrections),
        ("add_late", rollups.late),
    ):
        if cells:
            rows = await connection.fetch(SQL[statement], *columns_of((*key, *cell) for key, cell in cells.items()))
            large += [row["organization_id"] for row in rows]
    return large
