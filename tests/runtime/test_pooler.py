"""Through a PgBouncer in transaction mode every transaction has our settings, and work that needs a session is refused."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import numpy as np
import pytest
from aggregator.db.binary_copy import copy_rows
from aggregator.rebuild.swap import only_rebuild
from flexcredits_cli.machine.state_folder import REPOSITORY
from query_api.db.session import read_as
from runtime.postgres.migrations import migrate
from runtime.postgres.pool import Pool, open_pool
from runtime.postgres.pooler import ThroughPooler
from support.infra.pgbouncer import IGNORED, PgBouncer, pgbouncer
from support.infra.service_process import eventually
from support.infra.stack import Database

MIGRATIONS = REPOSITORY / "schemas" / "postgres"
SETTINGS = {
    "search_path": "public",
    "statement_timeout": "2s",
    "lock_timeout": "500ms",
    "idle_in_transaction_session_timeout": "20s",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
}
SHOW = "SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in SETTINGS)


@pytest.fixture
def pooler(database: Database) -> Iterator[PgBouncer]:
    with pgbouncer(database) as running:
        yield running


@asynccontextmanager
async def pool_of(dsn: str, size: int = 3) -> AsyncIterator[Pool]:
    async with open_pool(dsn, application="pooled", size=size, statement_timeout_s=2, keep_plans=False) as pool:
        yield pool


async def open_sessions(pool: Pool) -> None:
    """Let the pooler open a session for each connection: the next transactions use them in turn."""
    await asyncio.gather(*(pool.execute("SELECT pg_sleep(0.1)") for _ in range(pool.get_max_size())))


@pytest.mark.parametrize("ignored", ["", IGNORED], ids=["refuses settings", "ignores settings"])
async def test_every_transaction_and_statement_has_our_settings(database: Database, ignored: str) -> None:
    with pgbouncer(database, **({"ignore_startup_parameters": ignored} if ignored else {})) as pooler:
        async with pool_of(pooler(database.roles["flexcredits_aggregator"])) as pool:
            await open_sessions(pool)
            sessions = set()
            for _ in range(6):
                async with pool.acquire() as connection, connection.transaction():
                    assert dict(await connection.fetchrow(SHOW) or {}) == SETTINGS
                    sessions.add(await connection.fetchval("SELECT pg_backend_pid()"))
                assert dict(await pool.fetchrow(SHOW) or {}) == SETTINGS
            assert len(sessions) > 1, "one session proves nothing"
            with pytest.raises(asyncpg.QueryCanceledError, match="statement timeout"):
                await pool.execute("SELECT pg_sleep(20)")
            async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
                assert await connection.fetchval("SHOW transaction_isolation") == "repeatable read"
                assert await connection.fetchval("SHOW transaction_read_only") == "on"
        other = await asyncpg.connect(pooler(database.roles["flexcredits_aggregator"]), statement_cache_size=0)
        for _ in range(6):
            assert await other.fetchval("SHOW statement_timeout") == "0", "a setting stayed in a session of the pooler"
        await other.close()


async def test_settings_of_a_direct_connection_belong_to_its_session(database: Database) -> None:
    async with pool_of(database.roles["flexcredits_aggregator"], size=1) as pool:
        assert dict(await pool.fetchrow(SHOW) or {}) == SETTINGS
        async with pool.acquire() as connection:
            assert type(connection._con) is asyncpg.Connection, "the hot path is asyncpg's own class"


async def test_prepared_statements_of_several_clients_do_not_mix(database: Database, pooler: PgBouncer) -> None:
    dsn = pooler(database.roles["flexcredits_aggregator"])
    async with pool_of(dsn) as first, pool_of(dsn) as second:

        async def ask(pool: Pool, number: int) -> None:
            assert await pool.fetchval(f"SELECT $1::integer + {number % 3}", number) == number + number % 3

        await asyncio.gather(*(ask(pool, number) for number in range(40) for pool in (first, second)))


async def test_a_canceled_request_cancels_its_statement(database: Database, pooler: PgBouncer) -> None:
    owner = await asyncpg.connect(database.dsn)

    async def is_running() -> bool:
        return bool(await owner.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1.9)%' AND pid <> pg_backend_pid() AND state = 'active'"))  # fmt: skip

    async def has_ended() -> bool:
        return not await is_running()

    async with pool_of(pooler(database.roles["flexcredits_aggregator"]), size=1) as pool:
        sleeping = asyncio.create_task(pool.execute("SELECT pg_sleep(1.9)"))
        await eventually(is_running, what="the statement")
        sleeping.cancel()
        await eventually(has_ended, within_s=1.5, what="its end")
        assert await pool.fetchval("SELECT 1") == 1
    await owner.close()


async def test_rows_are_copied_in_and_out(database: Database, pooler: PgBouncer) -> None:
    async with pool_of(pooler(database.roles["flexcredits_aggregator"])) as pool:
        await open_sessions(pool)
        for _ in range(4):
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "CREATE TEMPORARY TABLE IF NOT EXISTS numbers (number integer) ON COMMIT DELETE ROWS"
                )
                await copy_rows(connection, "numbers", {"number": (np.arange(1000), ">i4")})
                assert await connection.fetchval("SELECT sum(number) FROM numbers") == 499_500
        lines = list[bytes]()

        async def keep(data: bytes) -> None:
            lines.append(data)

        async with pool.acquire() as connection:
            await connection.copy_from_query("SELECT generate_series(1, $1::integer)", 3, output=keep)
        assert b"".join(lines) == b"1\n2\n3\n"


async def test_row_level_security_shows_one_organization_for_one_transaction(
    database: Database, pooler: PgBouncer
) -> None:
    owner = await asyncpg.connect(database.dsn)
    await owner.execute("INSERT INTO organizations (organization, time_zone) VALUES ('org_a', 'UTC'), ('org_b', 'UTC')")
    async with pool_of(pooler(database.roles["flexcredits_api"])) as pool:
        await open_sessions(pool)

        async def seen_by(name: str) -> list[str]:
            async with read_as(pool, name, "") as session:
                rows = await session.connection.fetch("SELECT organization FROM organizations ORDER BY 1")
                return [row["organization"] for row in rows]

        for seen in await asyncio.gather(*(seen_by(name) for name in ["org_a", "org_b"] * 10)):
            assert len(seen) == 1
        assert [await seen_by(name) for name in ("org_a", "org_b")] == [["org_a"], ["org_b"]]
        for _ in range(6):
            assert await pool.fetch("SELECT organization FROM organizations") == []
    await owner.close()


async def test_locks_of_transactions_exclude_each_other_and_end(database: Database, pooler: PgBouncer) -> None:
    async with pool_of(pooler(database.roles["flexcredits_aggregator"])) as pool:
        await open_sessions(pool)
        async with pool.acquire() as holder, holder.transaction():
            await holder.execute("SELECT pg_advisory_xact_lock($1)", 7)
            with pytest.raises(asyncpg.LockNotAvailableError):
                await pool.execute("SELECT pg_advisory_xact_lock($1)", 7)
        for _ in range(6):
            assert await pool.fetchval("SELECT pg_try_advisory_xact_lock($1)", 7)


@pytest.mark.parametrize("ignored", ["extra_float_digits", IGNORED], ids=["refuses settings", "ignores settings"])
async def test_work_with_a_lock_of_its_session_is_refused(database: Database, ignored: str) -> None:
    with pgbouncer(database, ignore_startup_parameters=ignored) as pooler:
        with pytest.raises(ThroughPooler, match="POSTGRES_DIRECT_DSN"):
            await migrate(pooler(database.dsn), MIGRATIONS)
        with pytest.raises(ThroughPooler, match="POSTGRES_DIRECT_DSN"):
            async with only_rebuild(pooler(database.roles["flexcredits_rebuild"])):
                pass
    assert await migrate(database.dsn, MIGRATIONS) == []


async def test_migrations_use_the_direct_dsn(database: Database, pooler: PgBouncer) -> None:
    pooled = {**os.environ, "POSTGRES_DSN": pooler(database.dsn)}

    async def run(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command, given = [sys.executable, "-P", "-m", *argv], pooled | environment
        return await asyncio.to_thread(subprocess.run, command, env=given, capture_output=True, text=True, timeout=60)

    refused = await run("flexcredits_cli", "migrate")
    assert refused.returncode == 1
    assert "set POSTGRES_DIRECT_DSN" in refused.stderr
    done = await run("runtime.prepare", "migrations", str(MIGRATIONS), POSTGRES_DIRECT_DSN=database.dsn)
    assert done.returncode == 0, done.stderr


async def test_a_pooler_without_transactions_is_refused(database: Database) -> None:
    with pgbouncer(database, pool_mode="statement") as pooler, pytest.raises(ThroughPooler, match="pool_mode"):
        async with pool_of(pooler(database.roles["flexcredits_aggregator"])):
            pass
