"""The query API of the release before runs beside this one during an upgrade, and after it is rolled back: its statements lose no file."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from query_api.db.session import write_as
from runtime.postgres.pool import Pool
from support.data.table_rows import NOW, TableRows
from support.infra.stack import SCHEMAS
from support.services.query_api import Api, OpenApi

EXPORT = "/api/v1/export"
MANIFESTS = f"{EXPORT}/manifests"
HEADER = "flexcredits-export"

# Literally what it runs, in its order, until export_blocks was created (migration 0027).
LOCK = "SELECT pg_advisory_xact_lock(hashtext('flexcredits.exports'), $1)"
INSERT_MANIFEST = """
INSERT INTO export_manifests (organization_id, export_id, made_at, manifest, signature, request, sha256, people, people_version, kept_bytes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
INSERT_LINES = "INSERT INTO export_lines (organization_id, export_id, position, first_on, begins_at, labels, lines) VALUES ($1, $2, $3, $4, $5, $6, $7)"
DELETE_OLD_MANIFESTS = """
WITH same AS (
    SELECT export_id, made_at, coalesce(request, uuid_send(export_id)) AS asked,
        row_number() OVER (bytes ORDER BY made_at, export_id DESC) > 1 AND row_number() OVER (bytes ORDER BY made_at DESC, export_id) > 1
            AS is_repeat
    FROM export_manifests WHERE organization_id = $1
    WINDOW bytes AS (PARTITION BY coalesce(request, uuid_send(export_id)), sha256)
), ranked AS (
    SELECT export_id, made_at, row_number() OVER (PARTITION BY asked ORDER BY is_repeat, made_at DESC, export_id) AS rank FROM same
)
DELETE FROM export_manifests WHERE organization_id = $1 AND export_id IN (
    SELECT export_id FROM ranked ORDER BY export_id <> $3, (rank - 1) / $4, made_at DESC, export_id OFFSET $2)
"""
DELETE_OLD_LINES = """
WITH same AS (
    SELECT export_id, made_at, kept_bytes, coalesce(request, uuid_send(export_id)) AS asked,
        row_number() OVER (bytes ORDER BY made_at, export_id DESC) > 1 AND row_number() OVER (bytes ORDER BY made_at DESC, export_id) > 1
            AS is_repeat
    FROM export_manifests WHERE organization_id = $1 AND kept_bytes IS NOT NULL
    WINDOW bytes AS (PARTITION BY coalesce(request, uuid_send(export_id)), sha256)
), ranked AS (
    SELECT export_id, made_at, kept_bytes, row_number() OVER (PARTITION BY asked ORDER BY is_repeat, made_at DESC, export_id) AS rank FROM same
), summed AS (
    SELECT export_id, sum(kept_bytes) OVER (ORDER BY export_id <> $3, (rank - 1) / $4, made_at DESC, export_id) AS bytes FROM ranked
), forgotten AS (
    UPDATE export_manifests m SET kept_bytes = NULL FROM summed s
    WHERE m.organization_id = $1 AND m.export_id = s.export_id AND m.kept_bytes > 0 AND s.bytes > $2
    RETURNING m.export_id
)
DELETE FROM export_lines l USING forgotten f WHERE l.organization_id = $1 AND l.export_id = f.export_id
"""
SELECT_MANIFEST = """
SELECT manifest, signature, kept_bytes IS NOT NULL AS is_kept FROM export_manifests m
WHERE organization_id = $1 AND export_id = $2 AND (people IS NULL OR people = $3 AND NOT EXISTS (
    SELECT FROM actors a WHERE a.organization_id = $1 AND a.event_offset > m.people_version[1] AND a.removed
) AND NOT EXISTS (SELECT FROM catalog_reloads r WHERE r.organization_id = $1 AND r.reload_id > m.people_version[2]))
"""
MANIFESTS_KEPT, REQUEST_KEPT, BYTES_KEPT = 500, 12, 64 * 1024 * 1024


async def record_as_before(pool: Pool, minute: int, kept_bytes: int) -> UUID:
    """Stores a file, and deletes what is beyond the limits of the release before."""
    export = uuid4()
    async with write_as(pool, "org_acme") as session:
        of, connection = session.organization_id, session.connection
        at = NOW + timedelta(minutes=minute)
        await connection.execute(INSERT_MANIFEST, of, export, at, "{}", None, b"r", f"{minute}", None, None, kept_bytes)
        lines = [(of, export, 0, NOW.date(), [NOW, NOW + timedelta(days=1)], b"labels", b"lines")]
        await connection.executemany(INSERT_LINES, lines)
        await connection.execute(LOCK, of)
        await connection.execute(DELETE_OLD_MANIFESTS, of, MANIFESTS_KEPT, export, REQUEST_KEPT)
        await connection.execute(DELETE_OLD_LINES, of, BYTES_KEPT, export, REQUEST_KEPT)
    return export


async def make(api: Api, path: str, **claims: Any) -> httpx.Response:
    answer = await api.ask(f"{EXPORT}/{path}", **claims)
    assert answer.status_code == 200, answer.text
    return answer


async def test_the_release_before_deletes_no_line_that_files_share(
    open_api: OpenApi, pool: Pool, db: TableRows
) -> None:
    acme = await db.organization()
    await db.use(acme, "api", "namespace", "search", "2026-11-01", 5)
    async with open_api() as api:
        files = [
            await make(api, path) for path in ("usage.csv?range=all", "focus.csv?range=all", "usage.parquet?range=all")
        ]
        # Each has as many bytes as the release before keeps: of its own files it keeps the newest.
        old = [await record_as_before(pool, minute, BYTES_KEPT) for minute in range(1, 4)]
        for file in files:
            again = await api.ask(f"{MANIFESTS}/{file.headers[HEADER]}/file")
            assert (again.status_code, again.content) == (200, file.content)
        listed = {
            each["manifest"]
            for each in await db.fetch("SELECT export_id::text AS manifest FROM export_lines WHERE lines IS NOT NULL")
        }
        assert listed == {str(old[-1])}


async def test_to_the_release_before_no_line_of_a_newer_file_is_kept(api: Api, pool: Pool, db: TableRows) -> None:
    """It then answers 409 with the reason, and compares the file as a whole. It cannot write it again."""
    acme = await db.organization()
    await db.use(acme, "api", "namespace", "search", "2026-11-01", 5)
    export = UUID((await make(api, "usage.csv?range=all")).headers[HEADER])
    own = await record_as_before(pool, 1, 5)

    async def is_kept(of: UUID) -> bool:
        async with write_as(pool, "org_acme") as session:
            row = await session.connection.fetchrow(SELECT_MANIFEST, session.organization_id, of, "named")
            assert row is not None
            return bool(row["is_kept"])

    assert (await is_kept(export), await is_kept(own)) == (False, True)


async def test_a_migration_hides_files_of_builds_that_counted_shared_lines(api: Api, pool: Pool, db: TableRows) -> None:
    acme = await db.organization()
    await db.use(acme, "api", "namespace", "search", "2026-11-01", 5)
    file = await make(api, "usage.csv?range=all")
    own = await record_as_before(pool, 1, 5)
    await db.execute("UPDATE export_manifests SET kept_bytes = 70000000 WHERE kept_bytes IS NULL")
    await db.execute((SCHEMAS / "postgres" / "0028_kept_files_when_rolling_back.sql").read_text())
    counted = await db.fetch("SELECT export_id FROM export_manifests WHERE kept_bytes IS NOT NULL")
    assert [row["export_id"] for row in counted] == [own]
    assert (await api.ask(f"{MANIFESTS}/{file.headers[HEADER]}/file")).content == file.content
