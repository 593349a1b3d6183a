"""Reads the live rollups at a snapshot."""

from collections.abc import Iterable
from typing import Any

import asyncpg

from aggregator.db.statements import SQL
from aggregator.domain.rollup import Rollups
from aggregator.rebuild.compare import Months
from aggregator.rebuild.scope import Days, Snapshot


async def read_live(snapshot: Snapshot, days: Days) -> tuple[Rollups, Months]:
    """The live rollups of the days at the snapshot, and the missing sums of the months against their own days."""
    ids, span = days.ids, (days.first, days.last)
    zones = {at.organization_id: str(at.time_zone) for at in days.organizations.values()}
    async with snapshot.read() as connection:
        # Quarters are selected with the time zone data that counted them, which may differ from that of Postgres.
        quarters = await connection.fetch(SQL["select_live_quarters"], ids, days.begins(), days.ends())
        live = Rollups(
            cells_of(row for row in quarters if days.hold(row["quarter"], zones[row["organization_id"]])),
            cells_of(await connection.fetch(SQL["select_live_days"], ids, *span)),
            cells_of(await connection.fetch(SQL["select_live_organization_days"], ids, *span)),
            cells_of(await connection.fetch(SQL["select_live_corrections"], ids, *span)),
            cells_of(await connection.fetch(SQL["select_live_late"], ids, *span)),
            cells_of(await connection.fetch(SQL["select_live_attributed_days"], ids, *span)),
        )
        months = Months(
            cells_of(await connection.fetch(SQL["select_month_rests"], ids, *span)),
            cells_of(await connection.fetch(SQL["select_organization_month_rests"], ids, *span)),
            cells_of(await connection.fetch(SQL["select_attributed_month_rests"], ids, *span)),
        )
    return live, months


KEYS = (
    "organization_id", "quarter", "day", "month", "received_day", "attribution_id", "series_id", "product",
    "kafka_partition",
)  # fmt: skip
"""Key columns of the rollup tables, in the order of the keys of Rollups and Months. Each table has some of them."""


def cells_of(rows: Iterable[asyncpg.Record]) -> dict[Any, list[int]]:
    """The sums of a rollup table by its key columns."""
    return {tuple(row[name] for name in KEYS if name in row): [row["credits"], row["events"]] for row in rows}
