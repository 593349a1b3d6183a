"""What we write to Postgres: sessions, and what people did. Each in a transaction tied to one organization or one session."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

from runtime.postgres import Connection, Pool

from query_api.access import Person
from query_api.store import ACQUIRE_S, SQL, NotIsolated, Organization, reaching_postgres


class Session(NamedTuple):
    person: Person
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


@asynccontextmanager
async def write_as(pool: Pool, organization: str, *, wait_s: float = ACQUIRE_S) -> AsyncIterator["Writing"]:
    """One transaction for everything that a request changes. Raises Unavailable."""
    with reaching_postgres():
        async with pool.acquire(timeout=wait_s) as connection, connection.transaction():
            await connection.execute(SQL["act_for"], organization)
            row = await connection.fetchrow(SQL["select_organization"], organization, "")
            assert row is not None
            if not row["is_isolated"]:
                raise NotIsolated(NotIsolated.__doc__)
            yield Writing(connection, Organization(*row[:6]))


class Writing:
    """The writes of one request, all of one organization, whose id is None when nothing is known of it."""

    def __init__(self, connection: Connection, organization: Organization) -> None:
        self._connection = connection
        self.organization = organization

    async def insert_session(self, session_sha256: str, session: Session) -> None:
        person = session.person
        await self._connection.execute(SQL["present_session"], session_sha256)
        await self._connection.execute(
            SQL["insert_session"], session_sha256, self.organization.organization_id, person.organization, person.subject,
            person.name, person.email, person.role, session.created_at, session.expires_at,
        )  # fmt: skip

    async def delete_session(self, session_sha256: str) -> None:
        await self._connection.execute(SQL["present_session"], session_sha256)
        await self._connection.execute(SQL["delete_session"], session_sha256)

    async def forget_expired_sessions(self, at: datetime) -> None:
        await self._connection.execute(SQL["forget_expired_sessions"], at)

    async def insert_audit(
        self, person: Person, action: str, details: Mapping[str, Any], request_id: str, ip: str | None
    ) -> None:
        await self._connection.execute(
            SQL["insert_audit"], self.organization.organization_id, person.subject, person.email, person.role, action,
            json.dumps(details), request_id, ip,
        )  # fmt: skip


@asynccontextmanager
async def present(pool: Pool, session_sha256: str) -> AsyncIterator["Presented"]:
    """One transaction for the session with this hash. Raises Unavailable."""
    with reaching_postgres():
        async with pool.acquire(timeout=ACQUIRE_S) as connection, connection.transaction():
            await connection.execute(SQL["present_session"], session_sha256)
            yield Presented(connection, session_sha256)


class Presented:
    """A session whose id somebody knows."""

    def __init__(self, connection: Connection, session_sha256: str) -> None:
        self._connection = connection
        self._sha256 = session_sha256

    async def select_session(self) -> Session | None:
        row = await self._connection.fetchrow(SQL["select_session"], self._sha256)
        if row is None:
            return None
        person = Person(
            row["subject"], row["organization"], row["role"], row["email"], row["name"], row["expires_at"], self._sha256
        )
        return Session(person, row["created_at"], row["last_seen_at"], row["expires_at"])

    async def select_role_since(self, session: Session) -> str | None:
        """The role that the member was given after signing in, None for no change of it."""
        await self._connection.execute(SQL["act_for"], session.person.organization)
        role: str | None = await self._connection.fetchval(
            SQL["select_role_since"], session.person.email, session.created_at
        )
        return role

    async def touch_session(self, now: datetime) -> None:
        await self._connection.execute(SQL["touch_session"], self._sha256, now)

    async def delete_session(self) -> None:
        await self._connection.execute(SQL["delete_session"], self._sha256)
