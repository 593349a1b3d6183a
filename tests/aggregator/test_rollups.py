"""The statements that add to rollups: plans, rights on partitions, and what two aggregators do that add one row."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
from aggregator.consumer.isolation import count_batch
from aggregator.db.catalog_cache import Catalog, StaleCatalog
from aggregator.db.progress import load_progress
from aggregator.db.statements import SQL
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.decode import empty_batch, read
from flexcredits_schemas.calendar import EPOCH
from simulation.replay import connect
from support.data.factories import FakeRecord, organization, records, usage
from support.faults.interleaving import Session, Turns, interleave, schedules
from support.infra.stack import Database
from support.services.aggregator import CATALOG, TOPIC, TOPICS, Aggregator

STEPS = ("add_quarters", "add_days", "commit")
MONTH = f"{datetime.now(UTC):%Y%m}"
FILL = "INSERT INTO incoming_sums SELECT 1, 1, n, 1, 1, 1 FROM generate_series(1, $1::integer) AS n"


@pytest.fixture
async def aggregator(database: Database) -> AsyncIterator[Aggregator]:
    async with asyncpg.create_pool(database.roles["flexcredits_aggregator"], min_size=1, max_size=4) as pool:
        here = Aggregator(pool)
        await here.learn(organization())
        yield here


@pytest.mark.parametrize("schedule", [*schedules(3, 3)], ids=str)
async def test_two_aggregators_that_add_one_new_row_both_count(
    database: Database, aggregator: Aggregator, schedule: list[int]
) -> None:
    """Another transaction that adds the same row makes MERGE fail; the batch is decided again."""
    await load_progress(aggregator.pool, TOPIC, [0, 1])
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(connect(database.dsn))
        role = database.roles["flexcredits_aggregator"]
        connections = [await stack.enter_async_context(connect(role)) for _ in range(2)]
        sides = [Turns(Session(connection, owner), SQL, STEPS) for connection in connections]
        for at, side in enumerate(sides):
            await side.begin(count_until_done(side, records([usage(credits="2")], partition=at)))
        try:
            await interleave(schedule, sides)
            again = sum([await side.result() for side in sides])
        finally:
            for side in sides:
                await side.end()
    assert again <= 1
    assert await aggregator.total() == 4_000_000
    await aggregator.check_grains()


async def count_until_done(pool: "asyncpg.Pool[asyncpg.Record] | Turns", batch: list[FakeRecord]) -> int:
    """Count a batch as the consumer does; returns how often it was decided again."""
    reading, again = empty_batch(), 0
    read(batch, reading)
    while True:
        known = Catalog()
        async with pool.acquire() as connection:
            [progress] = await connection.fetch(SQL["select_progress"], CATALOG)
            await known.refresh(connection, progress["next_offset"])
        try:
            result: BatchResult = await count_batch(pool, TOPICS, reading, known)
            assert len(result.counted) == len(batch)
            return again
        except StaleCatalog:
            again += 1


@pytest.mark.parametrize("filled", [False, True], ids=["empty tables", "a table of years"])
async def test_rollups_find_their_rows_by_index(database: Database, aggregator: Aggregator, filled: bool) -> None:
    owner = await asyncpg.connect(database.dsn)
    if filled:
        await owner.execute(
            "INSERT INTO usage_daily SELECT 1, current_date - day, series, 1, 1 FROM generate_series(0, 1500) AS day, generate_series(1, 40) AS series"
        )
        await owner.execute("ANALYZE usage_daily, usage_15m")
    await owner.close()
    async with aggregator.pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["plan_by_index"])
        await connection.execute(SQL["make_incoming"])
        for name, table in (
            ("add_quarters", f"usage_15m_{MONTH}"),
            ("add_days", "usage_daily"),
            ("add_months", "usage_monthly"),
        ):
            await connection.execute(f"PREPARE {name} AS {SQL[name].replace('usage_15m', table)}")
            for mode, number in (("generic", 0), ("custom", 1), ("custom", 100_000)):
                await connection.execute(FILL, number)
                await connection.execute(f"SET LOCAL plan_cache_mode = force_{mode}_plan")
                rows = await connection.fetch(f"EXPLAIN EXECUTE {name} (1)")
                plan = "\n".join(row[0] for row in rows)
                assert f"Index Scan using {table}_pkey on {table} t" in plan, plan
                assert plan.count("Seq Scan") == plan.count("Seq Scan on incoming_sums") == 1, plan


async def test_attributed_rollups_find_their_rows_by_index(aggregator: Aggregator) -> None:
    async with aggregator.pool.acquire() as connection, connection.transaction():
        await connection.execute(SQL["plan_by_index"])
        await connection.execute(SQL["make_attributed"])
        for name, table in (
            ("add_attributed_days", "usage_attributed_daily"),
            ("merge_attributed_months", "usage_attributed_monthly"),
        ):
            for number in (0, 1, 50_000):
                await connection.execute(
                    "INSERT INTO incoming_attributed SELECT 1, n, n, n % 2, 1, 1 FROM generate_series(1, $1::integer) AS n",
                    number,
                )
                plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {SQL[name]}"))
                assert f"Index Scan using {table}_pkey on {table} t" in plan, plan
                assert plan.count("Seq Scan") == plan.count("Seq Scan on incoming_attributed") == 1, plan


@pytest.mark.parametrize(
    ("name", "values"),
    [("add_corrected", "'{1,2}'"), ("count_held_ledger", "'{1,2}', '{1,2}', '{1,2}', NULL, NULL, '{1,2}'")],
)
async def test_updates_of_the_ledger_find_rows_by_index(database: Database, name: str, values: str) -> None:
    """Also with a plan that was made when the partition was empty."""
    today = (datetime.now(UTC).date() - EPOCH).days
    async with connect(database.roles["flexcredits_aggregator"]) as connection, connection.transaction():
        await connection.execute(f"PREPARE {name} AS {SQL[name]}")
        for mode in ("generic", "custom"):
            await connection.execute(f"SET LOCAL plan_cache_mode = force_{mode}_plan")
            rows = await connection.fetch(f"EXPLAIN EXECUTE {name} ({today}, '{{{uuid4()},{uuid4()}}}', {values})")
            plan = "\n".join(row[0] for row in rows)
            assert re.search(r"Index Cond: .*identity = ANY", plan), plan


async def test_only_the_aggregator_has_rights_on_partitions(database: Database) -> None:
    """Partitions have no row-level security."""
    owner = await asyncpg.connect(database.dsn)
    try:
        await owner.execute("SELECT ensure_ledger_partition(30000), ensure_rollup_partition('2040-01-01')")
        rights = await owner.fetch(
            "SELECT DISTINCT substring(c.relname FROM '^[a-z_]*[a-z]|^usage_15m') AS name, r.rolname, p.privilege"
            " FROM pg_class c, pg_roles r, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS p(privilege)"
            " WHERE c.relispartition AND c.relkind = 'r' AND r.rolname LIKE 'flexcredits%'"
            " AND (has_table_privilege(r.oid, c.oid, p.privilege)"
            "  OR (p.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(r.oid, c.oid, p.privilege)))"
        )
        partitions = await owner.fetch(
            "SELECT c.relname FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'"
            " AND NOT has_table_privilege('flexcredits_aggregator', c.oid, 'INSERT')"
        )
    finally:
        await owner.close()
    aggregators = {(row["name"], row["privilege"]) for row in rights if row["rolname"] == "flexcredits_aggregator"}
    assert aggregators == {
        ("usage_ledger", "INSERT"), ("usage_ledger_hash", "INSERT"), ("usage_15m", "SELECT"), ("usage_15m", "INSERT"), ("usage_15m", "UPDATE"),
    }  # fmt: skip
    assert {row["rolname"] for row in rights} == {"flexcredits_aggregator"}
    assert not partitions
