"""Queries for mails, their recipients, and requests by admins."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import structlog
from flexcredits_schemas.alerts import Rule
from runtime.postgres.pool import Connection, Pool
from runtime.postgres.statements import from_record

from alerter.db.statements import SQL
from alerter.domain.attempts import Attempt
from alerter.domain.mails import Mail

log = structlog.get_logger()
RECIPIENTS_MAX = 1_000
"""Of the mails about a firing. One transaction writes them all, and other organizations' alerts wait for it."""


class Recipient(NamedTuple):
    """`is_additional`: an admin added the address to the list; otherwise the recipient has a role."""

    address: str
    is_additional: bool


class Request(NamedTuple):
    """A test, by mail to `recipient` or to a channel; or a firing's failed mails again (recipient None: all of
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
    """Members by role, and the addresses that the rule's settings add. Each address once, also if its case differs.

    At most RECIPIENTS_MAX: Super Admins, then additional addresses, Admins and Billing Moderators.
    """
    rows = await connection.fetch(
        SQL["select_recipients"], organization_id, billing_moderators, rule, RECIPIENTS_MAX + 1
    )
    if len(rows) > RECIPIENTS_MAX:
        log.warning("more recipients than an alert has", rule=rule, most=RECIPIENTS_MAX)
        rows = rows[:RECIPIENTS_MAX]
    return [from_record(Recipient, row) for row in rows]


async def insert_emails(
    connection: Connection,
    organization_id: int,
    firing_id: int,
    messages: Iterable[tuple[str, Recipient]],
    now: datetime,
) -> None:
    """Insert mails about a firing, whose row has the context. `messages` are pairs of Message-ID and recipient."""
    rows = [(organization_id, firing_id, message_id, *recipient, now, None) for message_id, recipient in messages]
    await connection.executemany(SQL["insert_email"], rows)


async def insert_test_email(connection: Connection, request: Request, message_id: str, context: dict[str, Any]) -> None:
    await connection.execute(
        SQL["insert_email"],
        request.organization_id, None, message_id, request.recipient, False, request.requested_at, json.dumps(context),
    )  # fmt: skip


async def select_requesting(pool: Pool, after: int) -> list[int]:
    """Numbers of the organizations with requests, those above number `after` first."""
    return [row["organization_id"] for row in await pool.fetch(SQL["select_requesting"], after)]


async def claim_request(connection: Connection, organization_id: int, without: Sequence[int]) -> Request | None:
    """Claim the organization's first request that is not in `without`. The request remains if the transaction fails."""
    row = await connection.fetchrow(SQL["claim_request"], organization_id, without)
    return None if row is None else from_record(Request, row)


async def resend_emails(connection: Connection, request: Request) -> None:
    """Make a firing's failed mails due again."""
    await connection.execute(SQL["resend_emails"], request.organization_id, request.firing_id, request.recipient)


async def claim_mails(
    pool: Pool, limit: int, lease_s: float, running: Sequence[int], share: int, after: int = 0
) -> list[Mail]:
    """Claim due mails of organizations above number `after`; no other process sends them for `lease_s` seconds.
    `running` has an organization for each mail in progress; including these, no organization gets more than `share`."""
    rows = await pool.fetch(SQL["claim_emails"], limit, lease_s, running, share, after)
    return [from_record(Mail, {**row, "context": json.loads(row["context"] or "{}")}) for row in rows]


async def record_mail_result(pool: Pool, mail: Mail, attempt: Attempt) -> None:
    """Store the result of the claimed attempt. Idempotent."""
    await pool.execute(SQL["record_email_attempt"], mail.email_id, mail.attempt, *attempt)


async def count_pending_mails(pool: Pool, at_most: int) -> tuple[int, float]:
    """Number of unsent mails, at most `at_most`, and the age of the oldest in seconds."""
    row = await pool.fetchrow(SQL["count_pending_emails"], at_most)
    assert row is not None
    return row["pending"], row["oldest_s"]
