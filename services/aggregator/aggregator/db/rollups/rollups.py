"""Adds sums to the rollup tables."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import asyncpg
import numpy as np
from runtime.postgres.pool import Connection

from aggregator.db.binary_copy import copy_rows
from aggregator.db.catalog_cache import Catalog, StaleCatalog
from aggregator.db.rollups.attributed import add_attributed
from aggregator.db.rollups.sums import check_sums
from aggregator.db.statements import SQL
from aggregator.db.unnest import columns_of
from aggregator.domain.counting.attributed import add_attributed_days, attributed_days_of
from aggregator.domain.counting.cells import Cells, add_cells, cells_of, months_of, months_of_quarters
from aggregator.domain.counting.fold import Folded
from aggregator.domain.rollup import Rollups
from aggregator.domain.sum_limit import Gross, Rooms, check_batch

_INCOMING = {
    "part": ">i4", "organization_id": ">i4", "period": ">i4", "series_id": ">i4", "credits": ">i8", "events": ">i8",
}  # fmt: skip
"""Columns of incoming_sums, with their types."""


async def add_checked_rollups(
    connection: Connection, rollups: Rollups, rooms: Rooms, catalog: Catalog, known: dict[int, Gross] | None = None,
    folded: Sequence[Folded] = (),
) -> None:  # fmt: skip
    """Add sums to the rollup tables, within the limit. The organization days of `folded` are in `rollups`.

    Raises SumLimit when the sums of an organization without a reserved room exceed the limit, and StaleCatalog when
    another transaction adds the same new row. `known` holds the latest known large sums.
    """
    check_batch(rollups, rooms)
    all_quarters = add_cells(cells_of(rollups.quarters), *(part.quarters for part in folded))
    partitions = await _by_partition(connection, all_quarters, catalog)
    quarters_by_table = [(SQL["add_quarters"].replace("usage_15m", table), cells) for table, cells in partitions]
    all_days = add_cells(cells_of(rollups.days), *(part.days for part in folded))
    attributed = [attributed_days_of(rollups.attributed_days), *(part.attributed for part in folded)]
    async with _planned_by_index(connection):
        await _merge(connection, [*quarters_by_table, *_days(all_days)])
        large = await _add_by_key(connection, rollups)
        await add_attributed(connection, add_attributed_days(*attributed))
    if large:
        await check_sums(connection, large, rollups, rooms, {} if known is None else known)


async def add_rollups(connection: Connection, rollups: Rollups) -> None:
    """Add sums to the rollup tables without a check, with the rights of a rebuild: it has none on partitions.

    Raises StaleCatalog when another transaction adds the same new row.
    """
    async with _planned_by_index(connection):
        await _merge(connection, [(SQL["add_quarters"], cells_of(rollups.quarters)), *_days(cells_of(rollups.days))])
        await _add_by_key(connection, rollups)
        await add_attributed(connection, attributed_days_of(rollups.attributed_days))


async def add_months(connection: Connection, months: Mapping[tuple[int, int, int], Sequence[int]]) -> None:
    """Add to the monthly rollup alone, where it is not the sum of its days."""
    async with _planned_by_index(connection):
        await _merge(connection, [(SQL["add_months"], cells_of(months))])


@asynccontextmanager
async def _planned_by_index(connection: Connection) -> AsyncIterator[None]:
    [session] = await connection.fetch(SQL["plan_by_index"])
    if not session["has_incoming"]:
        await connection.execute(SQL["make_incoming"])
        await connection.execute(SQL["make_attributed"])
    yield
    await connection.execute(SQL["plan_as_usual"])


def _days(days: Cells) -> list[tuple[str, Cells]]:
    return [(SQL["add_days"], days), (SQL["add_months"], months_of(days))]


async def _add_by_key(connection: Connection, rollups: Rollups) -> list[int]:
    """Add the sums that are few per batch. Returns the organizations with large sums."""
    large: list[int] = []
    others: dict[str, Mapping[Any, Sequence[int]]] = {
        "add_organization_days": rollups.organization_days,
        "add_corrections": rollups.corrections,
        "add_late": rollups.late,
    }
    for statement, cells in others.items():
        if cells:
            rows = await connection.fetch(SQL[statement], *columns_of((*key, *cell) for key, cell in cells.items()))
            large += [row["organization_id"] for row in rows]
    return large


async def _by_partition(connection: Connection, quarters: Cells, catalog: Catalog) -> list[tuple[str, Cells]]:
    """The rows of each partition of usage_15m, in lock order. Rows without one are for the table, which refuses them."""
    month = months_of_quarters(quarters)
    found = np.unique(month)
    days: list[date] = found.astype("M8[D]").tolist()
    if unknown := sorted(set(days) - catalog.quarter_months):
        rows = await connection.fetch(SQL["select_quarter_partitions"], unknown)
        catalog.quarter_months |= {row["month"] for row in rows}
    tables = [f"usage_15m_{day:%Y%m}" if day in catalog.quarter_months else "usage_15m" for day in days]
    return [(table, quarters.take(month == at)) for table, at in zip(tables, found, strict=True)]


async def _merge(connection: Connection, merges: Sequence[tuple[str, Cells]]) -> None:
    """Run each statement with its rows, which are passed through incoming_sums."""
    parts = [(statement, cells) for statement, cells in merges if len(cells.credits)]
    if not parts:
        return
    await connection.execute(SQL["clear_incoming"])
    part = np.repeat(np.arange(len(parts)), [len(cells.credits) for _, cells in parts])
    columns = [part, *(np.concatenate(column) for column in zip(*(cells for _, cells in parts), strict=True))]
    fields = zip(_INCOMING, zip(columns, _INCOMING.values(), strict=True), strict=True)
    await copy_rows(connection, "incoming_sums", dict(fields))
    try:
        for number, (statement, _) in enumerate(parts):
            await connection.execute(statement, number)
    except asyncpg.UniqueViolationError as error:
        raise StaleCatalog from error
