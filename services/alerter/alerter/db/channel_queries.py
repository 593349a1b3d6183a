"""Queries for alert events and their deliveries."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from flexcredits_schemas.alerts import ChannelKind, Notification
from runtime.postgres.pool import Connection, Pool
from runtime.postgres.statements import from_record

from alerter.db.statements import SQL
from alerter.domain.attempts import Attempt
from alerter.domain.firings import AlertEvent

LAST = 2**31 - 1
"""The highest possible number of an organization."""


class Delivery(NamedTuple):
    """A claimed delivery of an alert event to one channel."""

    delivery_id: int
    organization_id: int
    channel_id: int
    kind: ChannelKind
    url: str
    signing_secret: str | None
    """Only for webhooks."""
    content_type: str
    event_id: str
    body: str
    created_at: datetime
    attempt: int
    waited_s: float


async def insert_alert_event(
    connection: Connection, organization_id: int, firing_id: int, kind: str, event: AlertEvent, at: datetime,
    notification: Notification,
) -> None:  # fmt: skip
    """Insert an alert event into the outboxes of the topic and of the organization's channels. Slack gets the events of
    mailed firings and their resolutions; no channel gets events of periods that ended long ago."""
    await connection.execute(
        SQL["insert_notice"],
        organization_id, firing_id, event.event_id, kind, event.body, at, notification != "backfilled", notification == "sent",
    )  # fmt: skip


async def insert_test_alert_event(
    connection: Connection, organization_id: int, channel_id: int, event: AlertEvent, at: datetime
) -> None:
    await connection.execute(SQL["insert_test_notice"], organization_id, channel_id, *event, at)


class Unpublished(NamedTuple):
    """An alert event that is not on the topic yet."""

    alert_event_id: int
    organization_id: int
    organization: str
    body: str


async def claim_alert_events(connection: Connection, limit: int, after: int, last: int = LAST) -> list[Unpublished]:
    """Claim about `limit` unpublished alert events, in equal parts of organizations above number `after`, up to `last`.
    No other process publishes events of these organizations until the transaction ends."""
    return [from_record(Unpublished, row) for row in await connection.fetch(SQL["claim_notices"], limit, after, last)]


async def mark_alert_events_published(connection: Connection, notice_ids: Sequence[int]) -> None:
    await connection.execute(SQL["mark_notices_published"], notice_ids)


async def claim_deliveries(
    pool: Pool, limit: int, lease_s: float, running: Sequence[int], share: int, after: int = 0
) -> list[Delivery]:
    """Claim due deliveries of organizations above number `after`, in channels without a delivery in progress; no other
    process sends them for `lease_s` seconds. `running` has an organization for each delivery in progress; including
    these, no organization gets more than `share`."""
    rows = await pool.fetch(SQL["claim_deliveries"], limit, lease_s, running, share, after)
    return [from_record(Delivery, row) for row in rows]


async def record_delivery_result(pool: Pool, delivery: Delivery, attempt: Attempt) -> None:
    """Store the result of the claimed attempt. Idempotent."""
    await pool.execute(SQL["record_delivery_attempt"], delivery.delivery_id, delivery.attempt, *attempt)


async def stop_channel(pool: Pool, channel_id: int, because: str) -> None:
    """Send nothing more to a receiver that is gone. Idempotent."""
    await pool.execute(SQL["stop_channel"], channel_id, because)
