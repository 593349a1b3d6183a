"""Mails, their recipients, and what people ask for by hand."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from flexcredits_schemas.alerts import Rule
from runtime.postgres.pool import Connection, Pool
from runtime.postgres.statements import from_record

from alerter.db.statements import SQL
from alerter.domain.attempts import Attempt
from alerter.domain.mails import Mail


class Recipient(NamedTuple):
    """`is_additional`: told because an admin put the address on the list, not for a role."""

    address: str
    is_additional: bool


class Request(NamedTuple):
    """A test, by mail to `recipient` or to a channel; or, with a firing, its failed mails again (recipient None: all of
    them)."""

    request_id: int
    organization_id: int
    kind: Literal["test", "resend", "channel_test"]
    rule: Rule
    firing_id: int | None
    recipient: str | None
    channel_id: int | None
    requested_at: datetime


async def select_recipients(
    connection: Connection, organization_id: int, rule: Rule, *, billing_moderators: bool
) -> list[Recipient]:
    """Role holders, and whom the rule's settings add; nobody twice, however the address is written."""
    rows = await connection.fetch(SQL["select_recipients"], organization_id, billing_moderators, rule)
    return [from_record(Recipient, row) for row in rows]


async def insert_emails(
    connection: Connection,
    organization_id: int,
    firing_id: int,
    messages: Iterable[tuple[str, Recipient]],
    now: datetime,
) -> None:
    """Mails about a firing, which has the context. `messages` are pairs of Message-ID and recipient."""
    rows = [(organization_id, firing_id, message_id, *recipient, now, None) for message_id, recipient in messages]
    await connection.executemany(SQL["insert_email"], rows)


async def insert_test_email(connection: Connection, request: Request, message_id: str, context: dict[str, Any]) -> None:
    await connection.execute(
        SQL["insert_email"],
        request.organization_id, None, message_id, request.recipient, False, request.requested_at, json.dumps(context),
    )  # fmt: skip


async def select_requesting(pool: Pool, after: int) -> list[int]:
    """Numbers of the organizations for which somebody asked for something, those behind number `after` first."""
    return [row["organization_id"] for row in await pool.fetch(SQL["select_requesting"], after)]


async def claim_request(connection: Connection, organization_id: int, without: Sequence[int]) -> Request | None:
    """What somebody asked for, none of the requests `without`. It comes back if the transaction fails."""
    row = await connection.fetchrow(SQL["claim_request"], organization_id, without)
    return None if row is None else from_record(Request, row)


async def resend_emails(connection: Connection, request: Request) -> None:
    """Make a firing's failed mails due again."""
    await connection.execute(SQL["resend_emails"], request.organization_id, request.firing_id, request.recipient)


async def claim_mails(
    pool: Pool, limit: int, lease_s: float, running: Sequence[int], share: int, after: int = 0
) -> list[Mail]:
    """Mails of organizations behind number `after` that are due, and that nobody else sends for `lease_s` seconds. `running`
    has an organization for each mail in hand; with these none has more than `share`."""
    rows = await pool.fetch(SQL["claim_emails"], limit, lease_s, running, share, after)
    return [from_record(Mail, {**row, "context": json.loads(row["context"] or "{}")}) for row in rows]


async def record_mail_result(pool: Pool, mail: Mail, attempt: Attempt) -> None:
    """Write down how the claimed attempt ended. Safe to repeat."""
    await pool.execute(SQL["settle_email"], mail.email_id, mail.attempt, *attempt)


async def count_pending_mails(pool: Pool) -> tuple[int, float]:
    """How many mails are not sent yet, and the age of the oldest in seconds."""
    row = await pool.fetchrow(SQL["count_pending_emails"])
    assert row is not None
    return row["pending"], row["oldest_s"]
