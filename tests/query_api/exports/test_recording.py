"""Files of an organization are recorded one by one: waiting delays no other organization, and room is made for several files at once."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
from query_api.access.state import ExportLimits
from query_api.db.session import write_as
from query_api.exports.manifests.keeping import KeptFile, NewPart
from query_api.exports.manifests.queries import NewManifest, insert_export
from runtime.postgres.pool import Pool, open_pool
from support.data.table_rows import NOW, TableRows
from support.infra.service_process import eventually
from support.infra.stack import Database
from support.services.query_api import Api, OpenApi

EXPORT = "/api/v1/export"
TABLE = "table.csv?product=api&view=namespaces&range=all"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
BLOCKS = "SELECT coalesce(sum(octet_length(data)), 0) FROM export_blocks"


async def make(api: Api, path: str, **claims: Any) -> httpx.Response:
    answer = await api.ask(f"{EXPORT}/{path}", **claims)
    assert answer.status_code == 200, answer.text
    return answer


@asynccontextmanager
async def another_process_records(database: Database, *organizations: int) -> AsyncIterator[None]:
    """It holds their locks until the end of the block."""
    owner = await asyncpg.connect(database.dsn)
    try:
        async with owner.transaction():
            for organization in organizations:
                await owner.execute("SELECT pg_advisory_xact_lock(hashtext('flexcredits.exports'), $1)", organization)
            yield
    finally:
        await owner.close()


async def test_files_that_wait_to_be_recorded_take_no_connections_from_other_organizations(
    open_api: OpenApi, db: TableRows, database: Database
) -> None:
    """One organization has three quarters of a pool at most, so two of them could hold all connections."""
    acme, other, third = [await db.organization(name) for name in ("org_acme", "org_other", "org_third")]
    for organization in (acme, other, third):
        await db.use(organization, "api", "namespace", "search", "2026-11-01", 5)
    dsn = database.roles["flexcredits_api"]
    async with (
        open_pool(dsn, application="main", size=4, at_least=0, statement_timeout_s=60) as pool,
        open_pool(dsn, application="export", size=3, at_least=0, statement_timeout_s=60) as export_pool,
        open_api(pool, export_pool) as api,
    ):
        async with another_process_records(database, acme, other):
            making = [asyncio.create_task(make(api, TABLE)) for _ in range(30)]
            making += [asyncio.create_task(make(api, TABLE, organization="org_other")) for _ in range(10)]

            async def all_are_written() -> bool:
                return await db.count("SELECT count(*) FROM audit_log WHERE action = 'export'") == len(making)

            await eventually(all_are_written)
            await eventually(lambda: is_count(db, WAITING, 2))
            async with asyncio.timeout(10):
                await api.get("/api/v1/overview", organization="org_third")
                await make(api, TABLE, organization="org_third")
            assert not any(task.done() for task in making)
            assert await db.count(WAITING) == 2  # one of each
        await asyncio.gather(*making)
    assert await db.count("SELECT count(*) FROM export_manifests") == len(making) + 1


async def test_a_file_that_waits_to_be_recorded_has_given_back_the_connection_of_files(
    api: Api, db: TableRows, database: Database
) -> None:
    """There is one in this test."""
    acme, other = [await db.organization(name) for name in ("org_acme", "org_other")]
    for organization in (acme, other):
        await db.use(organization, "api", "namespace", "search", "2026-11-01", 5)
    for path in ("usage.csv?range=all", "focus.parquet?range=all"):
        async with another_process_records(database, acme):
            making = asyncio.create_task(make(api, path))
            await eventually(lambda: is_count(db, WAITING, 1))
            async with asyncio.timeout(5):
                await make(api, path, organization="org_other")
            assert not making.done()
        await making


async def is_count(db: TableRows, query: str, number: int) -> bool:
    return await db.count(query) == number


async def test_beyond_the_limit_room_is_made_for_several_files(pool: Pool, db: TableRows) -> None:
    await db.organization()
    limits = ExportLimits(organization_bytes=800)

    async def store(minute: int, size: int = 100) -> int:
        data = f"{minute}".encode().ljust(size)
        block = hashlib.sha256(data).digest()
        kept = KeptFile([NewPart(None, None, None, block)], {block: data})
        at = NOW + timedelta(minutes=minute)
        new = NewManifest(uuid4(), at, "{}", None, b"r", f"{minute}", None, None)
        async with write_as(pool, "org_acme") as session:
            await insert_export(session, limits, new, kept)
        return await db.count(BLOCKS)

    assert [await store(minute) for minute in range(11)] == [100, 200, 300, 400, 500, 600, 700, 800, 700, 800, 700]
    assert await store(11, 790) == 790  # it stays, alone
    assert await store(12, 801) == 0
    assert await db.count("SELECT count(*) FROM export_manifests") == 13
