"""Versioned migrations: plain .sql files applied in order, each in a transaction, by one process at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from runtime.postgres.pooler import connect_directly

if TYPE_CHECKING:  # asyncpg's classes are generic only for type checkers
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

LOCK = 0x666C6578  # a number that only migrations use for pg_advisory_lock
LOCK_WAIT = "2s"
"""Later transactions queue behind a migration that waits for a table, so it gives up after this time and retries."""
ATTEMPTS = 30


class MigrationError(Exception):
    """The migrations of the database are not a prefix of the files."""


@dataclass(frozen=True)
class Migrations:
    """The migrations that a database has, with the time of each, and those that it lacks, both in order."""

    applied: dict[str, datetime]
    pending: list[str]


async def inspect_migrations(dsn: str, folder: Path) -> Migrations:
    """Compare the database with the files of `folder`. Changes nothing. Raises MigrationError as `migrate` does."""
    async with _connect(dsn) as connection:
        applied = await _applied(connection)
    pending = _pending(folder, {name: digest for name, (digest, _) in applied.items()})
    return Migrations({name: at for name, (_, at) in sorted(applied.items())}, [path.name for path in pending])


async def migrate(dsn: str, folder: Path) -> list[str]:
    """Apply the files of `folder` (NNNN_name.sql) that the database lacks. Returns their names.

    Raises MigrationError if an applied file has changed, or if the database has migrations that `folder` lacks: it is
    newer, or from a build before the first release. Raises ThroughPooler.
    """
    async with _connect(dsn) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            " name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied = await _applied(connection)
        pending = _pending(folder, {name: digest for name, (digest, _) in applied.items()})
        await connection.execute(f"SET lock_timeout = '{LOCK_WAIT}'")
        for path in pending:
            await _apply(connection, path)
        return [path.name for path in pending]


async def checkpoint(dsn: str) -> None:
    """Let Postgres write all tables to their files now. Only for superusers and members of pg_checkpoint."""
    async with _connect(dsn) as connection:
        await connection.execute("CHECKPOINT")


@asynccontextmanager
async def _connect(dsn: str) -> AsyncIterator[Connection]:
    connection = await connect_directly(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _applied(connection: Connection) -> dict[str, tuple[str, datetime]]:
    """Digest and time of every migration that the database has."""
    if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NULL"):
        return {}
    rows = await connection.fetch("SELECT name, sha256, applied_at FROM schema_migrations")
    return {row["name"]: (row["sha256"], row["applied_at"]) for row in rows}


def _pending(folder: Path, applied: dict[str, str]) -> list[Path]:
    paths = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    if unknown := set(applied) - {path.name for path in paths}:
        if any(applied.get(path.name) != _digest(path) for path in paths):
            raise MigrationError(
                f"the database has other migrations than those of {folder}. A database of a build before the first release"
                " cannot be migrated: create a new database and count again from Kafka, as docs/upgrading.md describes"
                f" (not in the folder: {sorted(unknown)})"
            )
        raise MigrationError(
            f"the database is newer: it has migrations that are not in {folder}: {sorted(unknown)}. Use the migrations of"
            " its version"
        )
    for path in paths:
        if path.name in applied and applied[path.name] != _digest(path):
            raise MigrationError(f"{path.name} was changed after it was applied: add a new file instead")
    return [path for path in paths if path.name not in applied]


async def _apply(connection: Connection, path: Path) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with connection.transaction():
                await connection.execute(path.read_text())
                await connection.execute(
                    "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", path.name, _digest(path)
                )
            return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if attempt == ATTEMPTS:
                raise
            await asyncio.sleep(1)


def _digest(path: Path) -> str:
    return sha256(path.read_text().encode()).hexdigest()
