"""Creates and migrates the stack's database, enables its services' roles, and stores a key for the ingest API."""

import asyncpg
from runtime.postgres.migrations import migrate

from flexcredits_cli.machine.state_folder import REPOSITORY, StateFolder, write_private
from flexcredits_cli.stack.api_keys import create_key
from flexcredits_cli.stack.services import ROLES, role_password

NAME = "flexcredits"
TIMEOUT_S = 10


async def make_database(server_dsn: str) -> None:
    """Create the database on the embedded server; idempotent."""
    connection = await asyncpg.connect(server_dsn, timeout=TIMEOUT_S)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", NAME):
            await connection.execute(f'CREATE DATABASE "{NAME}"')
    finally:
        await connection.close()


async def prepare_database(dsn: str, folder: StateFolder) -> list[str]:
    """Apply pending migrations, and let the services' roles log in. Returns the applied migrations' names."""
    applied = await migrate(dsn, REPOSITORY / "schemas" / "postgres")
    connection = await asyncpg.connect(dsn, timeout=TIMEOUT_S)
    try:
        for role in ROLES:
            if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
                # The password consists of hexadecimal digits that we generated, so it needs no quoting.
                await connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{role_password(role, folder)}'")
    finally:
        await connection.close()
    return applied


async def ingest_key(dsn: str, folder: StateFolder) -> str:
    """The stack's key for every organization and product; re-created if this database does not have it."""
    path = folder.secrets / "ingest-key"
    if path.exists() and await is_live(dsn, path.read_text()):
        return path.read_text()
    key = await create_key(dsn, organization="*", product="*")
    write_private(path, key)
    return key


async def is_live(dsn: str, key: str) -> bool:
    """Whether the database has a valid row for this key. A key contains the id of its row."""
    connection = await asyncpg.connect(dsn, timeout=TIMEOUT_S)
    try:
        found = await connection.fetchval(
            "SELECT true FROM api_keys WHERE position(key_id IN $1) > 0 AND revoked_at IS NULL"
            " AND (expires_at IS NULL OR expires_at > now() + interval '1 day')",
            key,
        )
        return bool(found)
    finally:
        await connection.close()
