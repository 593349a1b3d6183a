"""Statements about manifests and kept lines."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from flexcredits_schemas.events import PeopleMode
from runtime.postgres.statements import from_record

from query_api.access.state import ExportLimits
from query_api.db.rows import from_records
from query_api.db.session import ReadSession, WriteSession
from query_api.db.statements import SQL
from query_api.exports.manifests.keeping import KeptFile
from query_api.exports.manifests.kept import KeptPart
from query_api.exports.manifests.manifest import Rules


class ListedManifest(NamedTuple):
    manifest: str
    is_signed: bool
    is_kept: bool


class StoredManifest(NamedTuple):
    manifest: str
    signature: str | None
    is_kept: bool


class NewManifest(NamedTuple):
    """Columns of a new manifest, in their order."""

    export_id: UUID
    made_at: datetime
    manifest: str
    signature: str | None
    request: bytes
    """The same for the same request by the same principal."""
    sha256: str
    people: PeopleMode | None
    """What was shown of people, in a file by people."""
    people_version: Sequence[int] | None


async def select_offsets(session: ReadSession, topic: str) -> dict[int, int]:
    rows = await session.connection.fetch(SQL["select_offsets"], topic)
    return {row["partition"]: row["next_offset"] for row in rows}


async def select_rules(session: ReadSession) -> Rules:
    row = await session.connection.fetchrow(SQL["select_rules"], session.organization_id)
    assert row is not None
    return from_record(Rules, row)


async def select_actors_version(session: ReadSession) -> list[int]:
    found: list[int] = await session.connection.fetchval(SQL["select_actors_version"], session.organization_id)
    return found


async def insert_export(session: WriteSession, limits: ExportLimits, new: NewManifest, kept: KeptFile | None) -> None:
    """Record a file with what is kept of it, and delete what is beyond the limits of the organization."""
    of, number, connection = session.organization_id, new.export_id, session.connection
    # Before all else: another file must not delete blocks that this one shares with it.
    await connection.execute(SQL["lock_exports"], of)
    await connection.execute(SQL["insert_manifest"], of, *new)
    if kept is not None:
        known = await connection.fetch(SQL["select_known_blocks"], of, [*kept.blocks])
        missing = kept.blocks.keys() - {row["block"] for row in known}
        await connection.executemany(SQL["insert_export_block"], [(of, block, kept.blocks[block]) for block in missing])
        rows = [(of, number, at, *part) for at, part in enumerate(kept.parts)]
        await connection.executemany(SQL["insert_export_lines"], rows)
    expired, few = new.made_at - limits.kept_for, limits.of_request
    await connection.execute(SQL["delete_manifests_of_removed"], of)
    old = await connection.fetch(SQL["delete_old_manifests"], of, limits.manifests, number, few, expired)
    if old:
        await connection.execute(SQL["delete_unused_of_blocks"], of, [row["block"] for row in old])
    if await connection.fetchval(SQL["sum_kept_bytes"], of) > limits.organization_bytes:
        await connection.execute(SQL["delete_old_lines"], of, limits.organization_bytes, number, few, expired)
        await connection.execute(SQL["delete_unused_blocks"], of)


async def select_manifests(session: ReadSession, limit: int) -> list[ListedManifest]:
    people = session.organization.people
    rows = await session.connection.fetch(SQL["select_manifests"], session.organization_id, people, limit)
    return from_records(ListedManifest, rows)


async def select_manifest(session: ReadSession, export_id: UUID) -> StoredManifest | None:
    people = session.organization.people
    row = await session.connection.fetchrow(SQL["select_manifest"], session.organization_id, export_id, people)
    return from_record(StoredManifest, row) if row else None


async def select_export_lines(session: ReadSession, export_id: UUID) -> AsyncGenerator[KeptPart, None]:
    """The parts in their order, one in memory at a time."""
    position = 0
    while row := await session.connection.fetchrow(
        SQL["select_export_lines"], session.organization_id, export_id, position
    ):
        yield from_record(KeptPart, row)
        position += 1
