"""Whether the database has the tables that a release needs: its newest migration."""

from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from runtime.postgres.pool import Connection, Pool

IS_APPLIED = "SELECT EXISTS (SELECT FROM schema_migrations WHERE name = $1)"

NO_TABLE = ". If that was done, this is another database: it has no table schema_migrations"
NO_RIGHTS = ". If that was done, the role lacks rights that they give"


class SchemaTooOld(Exception):
    """The database lacks a migration that this release needs."""

    def __init__(self, migration: str, hint: str = "") -> None:
        super().__init__(
            f"the database lacks the migration {migration}, which this release needs: apply its migrations{hint}"
        )


async def check_schema(connection: "Pool | Connection", migration: str) -> None:
    """Raises SchemaTooOld. A database with newer migrations will do: they only add."""
    try:
        is_applied = await connection.fetchval(IS_APPLIED, migration)
    except asyncpg.UndefinedTableError:
        raise SchemaTooOld(migration, NO_TABLE) from None
    except asyncpg.InsufficientPrivilegeError as error:  # also of a database from before services could read the names
        raise SchemaTooOld(migration, f"{NO_RIGHTS} ({error})") from None
    if not is_applied:
        raise SchemaTooOld(migration)
