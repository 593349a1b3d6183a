"""Computes the expected rollups from the ledger alone, with Postgres' calendar, and compares them with the tables."""

from typing import Any

import asyncpg

COUNTED = (
    "(SELECT l.*, s.product, (occurred_at AT TIME ZONE o.time_zone)::date AS day, (received_at AT TIME ZONE o.time_zone)::date AS received_on,"
    " (corrects IS NULL)::integer AS use FROM usage_ledger l JOIN organizations o USING (organization_id)"
    " JOIN usage_series s USING (series_id) WHERE NOT held) AS l"
)
MONTH = "date_trunc('month', day)::date"
# For each table: its key, and the key and filter of its ledger rows. The organizations' rows also have a partition, which is not compared.
TABLES = {
    "usage_15m": ("organization_id, bucket_at, series_id", "organization_id, date_bin('15 minutes', occurred_at, 'epoch'), series_id", ""),
    "usage_daily": ("organization_id, day, series_id", "organization_id, day, series_id", ""),
    "usage_monthly": ("organization_id, month, series_id", f"organization_id, {MONTH}, series_id", ""),
    "usage_organization_daily": ("organization_id, day, product", "organization_id, day, product", ""),
    "usage_organization_monthly": ("organization_id, month, product", f"organization_id, {MONTH}, product", ""),
    "usage_corrections": ("organization_id, day, series_id", "organization_id, day, series_id", "WHERE corrects IS NOT NULL"),
    "usage_late": ("organization_id, day, received_on, product", "organization_id, day, received_on, product", "WHERE received_on > day"),
}  # fmt: skip

Sums = dict[tuple[Any, ...], tuple[int, int]]


async def kept(connection: asyncpg.Connection, table: str) -> Sums:
    """Micro-credits and events by key, as stored. Rows with sums of 0 are left out."""
    key = TABLES[table][0]
    number = "corrections" if table == "usage_corrections" else "events"
    rows = await connection.fetch(
        f"SELECT {key}, sum(credits)::bigint, sum({number})::bigint FROM {table} GROUP BY {key}"
    )
    return sums(rows)


async def expected(connection: asyncpg.Connection, table: str) -> Sums:
    names, key, where = TABLES[table]
    number = "count(*)" if table == "usage_corrections" else "sum(use)"
    columns = ", ".join(str(position + 1) for position in range(len(names.split(", "))))
    rows = await connection.fetch(
        f"SELECT {key}, sum(credits)::bigint, {number}::bigint FROM {COUNTED} {where} GROUP BY {columns}"
    )
    return sums(rows)


def sums(rows: list[asyncpg.Record]) -> Sums:
    return {tuple(row)[:-2]: tuple(row)[-2:] for row in rows if tuple(row)[-2:] != (0, 0)}


async def check_rollups(connection: asyncpg.Connection) -> None:
    async with connection.transaction(isolation="repeatable_read"):
        for table in TABLES:
            assert await kept(connection, table) == await expected(connection, table), table
