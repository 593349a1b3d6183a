"""Statements about channels, and what was sent to them."""

from collections.abc import Sequence

from flexcredits_schemas.alerts import ChannelKind

from query_api.alerts.channels.domain import Channel, SentToChannel
from query_api.alerts.domain.firings import Tried
from query_api.alerts.queries import insert_wakeup
from query_api.db.rows import from_records, group_records
from query_api.db.session import ReadSession, WriteSession
from query_api.db.statements import SQL


async def select_channels(session: ReadSession) -> list[Channel]:
    """The oldest first; none that was removed."""
    rows = await session.connection.fetch(SQL["select_channels"], session.organization_id)
    return from_records(Channel, rows)


async def select_channel_deliveries(
    session: ReadSession, channel_id: int, before: int | None, limit: int
) -> list[SentToChannel]:
    """The newest first, those before the delivery `before` or from the newest on."""
    rows = await session.connection.fetch(
        SQL["select_channel_deliveries"], session.organization_id, channel_id, before, limit
    )
    return from_records(SentToChannel, rows)


async def select_channel_tries(session: ReadSession, delivery_ids: Sequence[int]) -> dict[int, list[Tried]]:
    """Attempts by delivery, in order; nothing for one without any."""
    rows = await session.connection.fetch(SQL["select_channel_tries"], session.organization_id, delivery_ids)
    return group_records("delivery_id", Tried, rows)


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
    """Returns its number."""
    number: int = await session.connection.fetchval(
        SQL["insert_channel"], session.organization_id, kind, name, masked_url, url, signing_secret, created_by, content_type
    )  # fmt: skip
    return number


async def remove_channel(session: WriteSession, channel_id: int) -> None:
    await session.connection.execute(SQL["remove_channel"], session.organization_id, channel_id)


async def insert_channel_test(session: WriteSession, channel_id: int) -> None:
    await session.connection.execute(SQL["insert_channel_test"], session.organization_id, channel_id)
    await insert_wakeup(session)
