"""Statements about requested mails: test mails and resends."""

from flexcredits_schemas.alerts import Rule

from query_api.alerts.domain.firings import StoredMail
from query_api.alerts.queries import insert_wakeup
from query_api.db.rows import from_records
from query_api.db.session import ReadSession, WriteSession
from query_api.db.statements import SQL


async def select_test_mails(session: ReadSession, recipient: str, limit: int) -> list[StoredMail]:
    """Newest first."""
    rows = await session.connection.fetch(SQL["select_test_mails"], session.organization_id, recipient, limit)
    return from_records(StoredMail, rows)


async def insert_mail_request(session: WriteSession, rule: Rule, firing_id: int | None, recipient: str | None) -> None:
    """Request a test mail or, with a firing, resending its mail to the recipient, or to all whose mail failed if None."""
    kind = "test" if firing_id is None else "resend"
    await session.connection.execute(
        SQL["insert_mail_request"], session.organization_id, kind, rule, firing_id, recipient
    )
    await insert_wakeup(session)
