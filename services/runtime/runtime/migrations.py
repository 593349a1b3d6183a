"""Versioned migrations: plain .sql files applied in order, each in a transaction, one migrator at a time."""

from hashlib import sha256
from pathlib import Path

import asyncpg

LOCK = 0x666C6578  # any number of our own for pg_advisory_lock


class MigrationError(Exception):
    """The database holds something else than these files would have made."""


async def migrate(dsn: str, folder: Path) -> list[str]:
    """Apply the files of `folder` (NNNN_name.sql) that the database lacks; returns their names.

    Raises MigrationError when an applied file has changed since, or the database is newer than `folder`.
    """
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            " name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied = {
            row["name"]: row["sha256"] for row in await connection.fetch("SELECT name, sha256 FROM schema_migrations")
        }
        paths = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
        if unknown := set(applied) - {path.name for path in paths}:
            raise MigrationError(f"the database has migrations that are not in {folder}: {sorted(unknown)}")
        new = []
        for path in paths:
            source = path.read_text()
            digest = sha256(source.encode()).hexdigest()
            if path.name not in applied:
                async with connection.transaction():
                    await connection.execute(source)
                    await connection.execute(
                        "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", path.name, digest
                    )
                new.append(path.name)
            elif applied[path.name] != digest:
                raise MigrationError(f"{path.name} was changed after it was applied: add a new file instead")
        return new
    finally:
        await connection.close()
