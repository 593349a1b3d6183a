"""Statements about browser sessions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from runtime.postgres.pool import Connection, Pool

from query_api.auth.principal import Principal
from query_api.db.session import WAIT_S, WriteSession, connect_as, reaching_postgres
from query_api.db.statements import SQL


class BrowserSession(NamedTuple):
    principal: Principal
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


@asynccontextmanager
async def present(pool: Pool, session_sha256: str) -> AsyncIterator[Connection]:
    """One transaction, in which row-level security shows only the session with this hash. Raises Unavailable."""
    with reaching_postgres():
        async with connect_as(pool, session_sha256, wait_s=WAIT_S) as connection, connection.transaction():
            await connection.execute(SQL["present_session"], session_sha256)
            yield connection


async def select_session(connection: Connection, session_sha256: str) -> BrowserSession | None:
    row = await connection.fetchrow(SQL["select_session"], session_sha256)
    if row is None:
        return None
    principal = Principal(
        subject=row["subject"],
        organization=row["organization"],
        role=row["role"],
        email=row["email"],
        name=row["name"],
        expires_at=row["expires_at"],
        session_sha256=session_sha256,
        is_email_verified=row["email_verified"],
    )
    return BrowserSession(principal, row["created_at"], row["last_seen_at"], row["expires_at"])


async def select_role_since(connection: Connection, signed_in: BrowserSession) -> str | None:
    """The role that the member got after sign-in; None if unchanged."""
    await connection.execute(SQL["act_for"], signed_in.principal.organization)
    role: str | None = await connection.fetchval(
        SQL["select_role_since"], signed_in.principal.email, signed_in.created_at
    )
    return role


async def touch_session(connection: Connection, session_sha256: str, now: datetime) -> None:
    await connection.execute(SQL["touch_session"], session_sha256, now)


async def insert_session(session: WriteSession, session_sha256: str, signed_in: BrowserSession) -> None:
    principal = signed_in.principal
    await session.connection.execute(SQL["present_session"], session_sha256)
    await session.connection.execute(
        SQL["insert_session"], session_sha256, session.organization_id, principal.organization, principal.subject,
        principal.name, principal.email, principal.role, signed_in.created_at, signed_in.expires_at,
        principal.is_email_verified,
    )  # fmt: skip


async def delete_session(connection: Connection, session_sha256: str) -> None:
    await connection.execute(SQL["present_session"], session_sha256)
    await connection.execute(SQL["delete_session"], session_sha256)


async def delete_expired_sessions(session: WriteSession, at: datetime) -> None:
    await session.connection.execute(SQL["delete_expired_sessions"], at)
