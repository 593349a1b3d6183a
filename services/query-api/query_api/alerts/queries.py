"""Statements about banner, firings and their mails. Credits are micro-credits."""

from collections.abc import Sequence

from runtime.postgres.statements import from_record

from query_api.alerts.domain.firings import Firing, RaisedBanner, StoredAttempt, StoredMail
from query_api.db.rows import from_records, group_records
from query_api.db.session import ReadSession, WriteSession
from query_api.db.statements import SQL


async def select_banner(session: ReadSession) -> RaisedBanner | None:
    row = await session.connection.fetchrow(SQL["select_banner"], session.organization_id)
    return from_record(RaisedBanner, row) if row else None


async def select_dismissals(session: ReadSession, firing_id: int) -> set[str]:
    """Subjects of the people who dismissed the banner of a firing."""
    rows = await session.connection.fetch(SQL["select_dismissals"], session.organization_id, firing_id)
    return {row["subject"] for row in rows}


async def insert_dismissal(session: WriteSession, subject: str, firing_id: int) -> None:
    await session.connection.execute(SQL["insert_dismissal"], session.organization_id, subject, firing_id)


async def select_firings(session: ReadSession, before: int | None, limit: int) -> list[Firing]:
    """Newest first: firings before `before`, or the newest ones if it is None."""
    rows = await session.connection.fetch(SQL["select_firings"], session.organization_id, before, limit)
    return from_records(Firing, rows)


async def select_firing(session: ReadSession, firing_id: int) -> Firing | None:
    row = await session.connection.fetchrow(SQL["select_firing"], session.organization_id, firing_id)
    return from_record(Firing, row) if row else None


async def select_deliveries(session: ReadSession, firing_ids: Sequence[int]) -> dict[int, list[StoredMail]]:
    """Mails by firing, sorted by recipient. Firings without mails are left out."""
    rows = await session.connection.fetch(SQL["select_deliveries"], session.organization_id, firing_ids)
    return group_records("firing_id", StoredMail, rows)


async def select_mail_attempts(session: ReadSession, firing_id: int) -> dict[int, list[StoredAttempt]]:
    """Attempts by mail, in order. Mails without attempts are left out."""
    rows = await session.connection.fetch(SQL["select_mail_attempts"], session.organization_id, firing_id)
    return group_records("email_id", StoredAttempt, rows)


async def insert_wakeup(session: WriteSession) -> None:
    """Make the alerter evaluate the organization."""
    await session.connection.execute(SQL["insert_wakeup"], session.organization_id)
