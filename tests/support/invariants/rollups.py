"""Computes the expected rollups from the ledger alone, with Postgres' calendar, and compares them with the tables."""

from hashlib import blake2b
from typing import Any

import asyncpg

COUNTED = (
    "(SELECT l.*, s.product, s.agent_id, (occurred_at AT TIME ZONE o.time_zone)::date AS day, (received_at AT TIME ZONE o.time_zone)::date AS received_on,"
    " (corrects IS NULL)::integer AS use FROM usage_ledger l JOIN organizations o USING (organization_id)"
    " JOIN usage_series s USING (series_id) WHERE NOT held) AS l"
)
MONTH = "date_trunc('month', day)::date"
ATTRIBUTED = "WHERE attribution_id IS NOT NULL"
# For each table: its key, and the key and filter of its ledger rows. The organizations' rows also have a partition, which is not compared.
TABLES = {
    "usage_15m": ("organization_id, bucket_at, series_id", "organization_id, date_bin('15 minutes', occurred_at, 'epoch'), series_id", ""),
    "usage_daily": ("organization_id, day, series_id", "organization_id, day, series_id", ""),
    "usage_monthly": ("organization_id, month, series_id", f"organization_id, {MONTH}, series_id", ""),
    "usage_organization_daily": ("organization_id, day, product", "organization_id, day, product", ""),
    "usage_organization_monthly": ("organization_id, month, product", f"organization_id, {MONTH}, product", ""),
    "usage_corrections": ("organization_id, day, series_id", "organization_id, day, series_id", "WHERE corrects IS NOT NULL"),
    "usage_attributed_daily": ("organization_id, day, attribution_id, series_id", "organization_id, day, attribution_id, series_id", ATTRIBUTED),
    "usage_attributed_monthly": ("organization_id, month, attribution_id", f"organization_id, {MONTH}, attribution_id", ATTRIBUTED),
    "usage_late": ("organization_id, day, received_on, product", "organization_id, day, received_on, product", "WHERE received_on > day"),
}  # fmt: skip

RUNS = (
    "SELECT organization_id, run, sum(credits)::bigint AS credits, sum(use)::bigint AS events, min(occurred_at) FILTER (WHERE use = 1) AS first_at,"
    ' max(occurred_at) FILTER (WHERE use = 1) AS last_at, (array_agg(agent_id ORDER BY occurred_at, agent_id COLLATE "C") FILTER (WHERE use = 1))[1] AS agent_id,'
    ' (array_agg(coalesce(attribution_id, 0) ORDER BY occurred_at, agent_id COLLATE "C", coalesce(attribution_id, 0)) FILTER (WHERE use = 1))[1] AS attribution_id'
    f" FROM {COUNTED} WHERE run IS NOT NULL GROUP BY 1, 2"
)
RUN_COLUMNS = "organization_id, run, credits, events, first_at, last_at, agent_id, attribution_id"

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
        assert await kept_runs(connection) == await expected_runs(connection)
        for table in ("usage_ledger", "usage_held"):
            assert await strange_corrections(connection, table) == [], table


async def differing_tables(connection: asyncpg.Connection) -> list[str]:
    """The tables that differ from the ledger."""
    async with connection.transaction(isolation="repeatable_read"):
        found = [table for table in TABLES if await kept(connection, table) != await expected(connection, table)]
        return found + ["usage_runs"] * (await kept_runs(connection) != await expected_runs(connection))


async def kept_runs(connection: asyncpg.Connection) -> set[tuple[Any, ...]]:
    """The rows of usage_runs, without the id of the parent. The ledger has no ids of runs: their hash must be the key."""
    for row in await connection.fetch("SELECT run, run_id FROM usage_runs"):
        assert row["run"].bytes == blake2b(row["run_id"].encode(), digest_size=16).digest(), row["run_id"]
    return {tuple(row) for row in await connection.fetch(f"SELECT {RUN_COLUMNS} FROM usage_runs")}


async def expected_runs(connection: asyncpg.Connection) -> set[tuple[Any, ...]]:
    return {tuple(row) for row in await connection.fetch(f"SELECT {RUN_COLUMNS} FROM ({RUNS}) AS runs")}


async def strange_corrections(connection: asyncpg.Connection, table: str) -> list[asyncpg.Record]:
    """Counted corrections that count for others than their originals do; held ones may know them or not."""
    known = "NOT c.held" if table == "usage_ledger" else "(c.attribution_id IS NOT NULL OR c.run IS NOT NULL)"
    return await connection.fetch(
        f"SELECT c.identity FROM {table} c JOIN usage_ledger l ON (l.ledger_bucket, l.identity) = (c.corrects_bucket, c.corrects)"
        f" WHERE {known} AND (c.attribution_id, c.run) IS DISTINCT FROM (l.attribution_id, l.run)"
    )
