"""What we write to Postgres: sessions, what people set and did. Each in a transaction tied to one organization or one session."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

from flexcredits_schemas.alerts import ChannelKind
from flexcredits_schemas.alerts import Rule as RuleName
from runtime.postgres import Connection, Pool

from query_api.alerts.settings.domain.rules import AlertSettings
from query_api.auth.tokens import Person
from query_api.db.session import SQL, WAIT_S, NotIsolated, Organization, Reading, connect_as, reaching_postgres


class Session(NamedTuple):
    person: Person
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


@asynccontextmanager
async def write_as(
    pool: Pool, organization: str, email: str = "", *, wait_s: float = WAIT_S
) -> AsyncIterator["Writing"]:
    """One transaction for everything that a request changes. Raises Unavailable."""
    with reaching_postgres():
        async with connect_as(pool, organization, wait_s=wait_s) as connection, connection.transaction():
            await connection.execute(SQL["act_for"], organization)
            row = await connection.fetchrow(SQL["select_organization"], organization, email)
            assert row is not None
            if not row["is_isolated"]:
                raise NotIsolated(NotIsolated.__doc__)
            yield Writing(connection, Organization(*row[:6]))


class Writing:
    """The writes of one request, all of one organization, whose id is None when nothing is known of it."""

    def __init__(self, connection: Connection, organization: Organization) -> None:
        self._connection = connection
        self.organization = organization
        self.reading = Reading(connection, organization)
        """Reads in the same transaction, each of which sees what others have committed by then."""

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

    async def lock_alert_settings(self) -> None:
        """Nobody else saves until this transaction ends, if anybody ever has."""
        await self._connection.execute(SQL["lock_alert_settings"], self.organization.organization_id)

    async def save_alert_settings(self, settings: AlertSettings, updated_by: str) -> bool:
        """Save as one version more, and have the alerter look; False when somebody has saved since they were read."""
        usage, budget = settings.usage, settings.budget
        version = await self._connection.fetchval(
            SQL["save_alert_settings"], self.organization.organization_id, settings.version, updated_by,
            usage.thresholds, usage.recipients.is_on, usage.recipients.addresses,
            budget.thresholds, budget.recipients.is_on, budget.recipients.addresses,
            settings.recurring_credits, settings.once_credits, settings.once_month,
        )  # fmt: skip
        if version is not None:
            await self.insert_wakeup()
        return version is not None

    async def insert_wakeup(self) -> None:
        await self._connection.execute(SQL["insert_wakeup"], self.organization.organization_id)

    async def insert_mail_request(self, rule: RuleName, firing_id: int | None, recipient: str | None) -> None:
        """A test mail to a recipient or, with a firing, its mails again: to the recipient, or to all whose mail failed."""
        kind = "test" if firing_id is None else "resend"
        await self._connection.execute(
            SQL["insert_mail_request"], self.organization.organization_id, kind, rule, firing_id, recipient
        )
        await self.insert_wakeup()

    async def insert_channel(
        self,
        kind: ChannelKind,
        name: str,
        shown_url: str,
        url: str,
        signing_secret: str | None,
        created_by: str,
        content_type: str,
    ) -> int:
        """Returns its number."""
        number: int = await self._connection.fetchval(
            SQL["insert_channel"],
            self.organization.organization_id,
            kind,
            name,
            shown_url,
            url,
            signing_secret,
            created_by,
            content_type,
        )
        return number

    async def remove_channel(self, channel_id: int) -> None:
        await self._connection.execute(SQL["remove_channel"], self.organization.organization_id, channel_id)

    async def insert_channel_test(self, channel_id: int) -> None:
        await self._connection.execute(SQL["insert_channel_test"], self.organization.organization_id, channel_id)
        await self.insert_wakeup()

    async def insert_dismissal(self, subject: str, firing_id: int) -> None:
        await self._connection.execute(SQL["insert_dismissal"], self.organization.organization_id, subject, firing_id)

    async def lock_person(self, subject: str) -> None:
        """One request of a person at a time, until the transaction ends."""
        await self._connection.execute(SQL["lock_person"], self.organization.organization_id, subject)

    async def select_wait(self, subject: str, action: str, every_s: float) -> float:
        """Seconds until a person may do again what may be done once in `every_s`; 0 for now."""
        wait_s: float | None = await self._connection.fetchval(
            SQL["select_wait"], self.organization.organization_id, subject, action, every_s
        )
        return max(0.0, wait_s or 0.0)


@asynccontextmanager
async def present(pool: Pool, session_sha256: str) -> AsyncIterator["Presented"]:
    """One transaction for the session with this hash. Raises Unavailable."""
    with reaching_postgres():
        async with connect_as(pool, session_sha256, wait_s=WAIT_S) as connection, connection.transaction():
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
