"""Statements about API keys and their mappings."""

from datetime import datetime
from typing import NamedTuple

from runtime.postgres.statements import from_record

from query_api.db.rows import from_records
from query_api.db.session import ReadSession, WriteSession
from query_api.db.statements import SQL


class StoredKey(NamedTuple):
    """An API key. `mapped_at` and `mapped_by` are None without a mapping."""

    key_id: str
    products: list[str]
    created_at: datetime
    expires_at: datetime | None
    mapped_at: datetime | None
    mapped_by: str | None


class StoredMapping(NamedTuple):
    """The mapping of a key; all None without one. `document` is JSON."""

    document: str | None
    updated_at: datetime | None
    updated_by: str | None


async def select_api_keys(session: ReadSession, organization: str) -> list[StoredKey]:
    """Keys for exactly this organization, oldest first."""
    return from_records(StoredKey, await session.connection.fetch(SQL["select_api_keys"], organization))


async def select_mapping(session: ReadSession, organization: str, key_id: str) -> StoredMapping | None:
    """None if there is no such key for exactly this organization."""
    row = await session.connection.fetchrow(SQL["select_mapping"], organization, key_id)
    return None if row is None else from_record(StoredMapping, row)


async def save_mapping(
    session: WriteSession, key_id: str, document: str, updated_by: str, changed_at: datetime | None
) -> bool:
    """False if the last change was not at `changed_at` (None: there was no mapping)."""
    if changed_at is None:
        saved = await session.connection.fetchval(SQL["insert_mapping"], key_id, document, updated_by)
    else:
        saved = await session.connection.fetchval(SQL["update_mapping"], key_id, document, updated_by, changed_at)
    return saved is not None


async def delete_mapping(session: WriteSession, key_id: str, changed_at: datetime) -> bool:
    """False if the last change was not at `changed_at`."""
    return await session.connection.fetchval(SQL["delete_mapping"], key_id, changed_at) is not None
