"""Statements about channels and their deliveries."""

from collections.abc import Sequence

from flexcredits_schemas.alerts import ChannelKind

from query_api.alerts.channels.domain import Channel, StoredChannelDelivery
from query_api.alerts.domain.firings import StoredAttempt
from query_api.alerts.queries import insert_wakeup
from query_api.db.rows import from_records, group_records
from query_api.db.session import ReadSession, WriteSession
from query_api.db.statements import SQL


async def select_channels(session: ReadSession) -> list[Channel]:
    """Oldest first, without removed ones."""
    rows = await session.connection.fetch(SQL["select_channels"], session.organization_id)
    return from_records(Channel, rows)


async def select_channel_deliveries(
    session: ReadSession, channel_id: int, before: int | None, limit: int
) -> list[StoredChannelDelivery]:
    """Newest first: deliveries before `before`, or the newest ones if it is None."""
    rows = await session.connection.fetch(
        SQL["select_channel_deliveries"], session.organization_id, channel_id, before, limit
    )
    return from_records(StoredChannelDelivery, rows)


async def select_channel_attempts(session: ReadSession, delivery_ids: Sequence[int]) -> dict[int, list[StoredAttempt]]:
    """Attempts by delivery, in order. Deliveries without attempts are left out."""
    rows = await session.connection.fetch(SQL["select_channel_attempts"], session.organization_id, delivery_ids)
    return group_records("delivery_id", StoredAttempt, rows)


async def insert_channel(
    session: WriteSession,
    kind: ChannelKind,
    name: str,
    masked_url: str,
    url: str,
    signing_secret: str | None,
    created_by: str,
    content_type: str,
) -> int:
    """Returns the channel's id."""
    number: int = await session.connection.fetchval(
        SQL["insert_channel"], session.organization_id, kind, name, masked_url, url, signing_secret, created_by, content_type
    )  # fmt: skip
    return number


async def remove_channel(session: WriteSession, channel_id: int) -> None:
    await session.connection.execute(SQL["remove_channel"], session.organization_id, channel_id)


async def insert_channel_test(session: WriteSession, channel_id: int) -> None:
    await session.connection.execute(SQL["insert_channel_test"], session.organization_id, channel_id)
    await insert_wakeup(session)
