"""/api/v1/alert-channels: webhooks and Slack, and their deliveries."""

import math
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from query_api.access.audit import audit
from query_api.access.dependencies import CurrentUser, ReadAccess, WriteAccess
from query_api.access.queries import lock_principal, select_wait
from query_api.access.state import app_state
from query_api.alerts.channels.domain import (
    CHANNELS_MAX,
    Channel,
    InvalidChannel,
    StoredChannelDelivery,
    check_channel,
    make_signing_secret,
    mask,
)
from query_api.alerts.channels.queries import (
    insert_channel,
    insert_channel_test,
    remove_channel,
    select_channel_attempts,
    select_channel_deliveries,
    select_channels,
)
from query_api.alerts.channels.schemas import (
    ChannelDeliveries,
    ChannelDelivery,
    ChannelRequest,
    ChannelResponse,
    Channels,
    ChannelTestAccepted,
    CreatedChannel,
)
from query_api.alerts.domain.firings import StoredAttempt
from query_api.alerts.schemas import DeliveryAttempt
from query_api.auth.principal import check_admin
from query_api.db.session import ReadSession
from query_api.http.pagination import HistoryQuery, cut_history
from query_api.http.problems import ApiProblem, ParameterError, problems

router = APIRouter(prefix="/api/v1/alert-channels")

TEST = "alert_channel.test"
CHANNEL_TEST_EVERY_S = 10.0

ChannelId = Annotated[
    str, Path(alias="id", pattern=r"^[1-9][0-9]{0,18}$", description="Id of a channel.", examples=["3"])
]


@router.get("")
async def get_alert_channels(session: ReadAccess) -> Channels:
    """The channels of the organization."""
    return Channels(channels=[answer_channel(channel) for channel in await select_channels(session)])


@router.post("", status_code=201, responses=problems(409))
async def add_alert_channel(principal: CurrentUser, session: WriteAccess, asked: ChannelRequest) -> CreatedChannel:
    """Add a webhook, signed by Standard Webhooks, or a Slack channel. For Super Admins and Admins."""
    check_admin(principal)
    try:
        check_channel(asked.kind, asked.name, asked.url, asked.content_type)
    except InvalidChannel as error:
        mistake = ParameterError(pointer=error.pointer, detail=str(error))
        raise ApiProblem("invalid-parameter", f"{error.pointer}: {error}", errors=[mistake]) from None
    await lock_principal(session, "alert channels")  # serialize additions, to enforce the limit
    if len(await select_channels(session)) >= CHANNELS_MAX:
        raise ApiProblem("too-many-channels", f"{CHANNELS_MAX} channels is the limit. Remove one first.")
    secret = make_signing_secret() if asked.kind == "webhook" else None
    masked_url = mask(asked.url)
    channel_id = await insert_channel(
        session,
        asked.kind,
        asked.name,
        masked_url,
        asked.url,
        secret,
        principal.email or principal.subject,
        asked.content_type,
    )
    details = {
        "channel": str(channel_id), "kind": asked.kind, "name": asked.name, "url": masked_url, "content_type": asked.content_type,
    }  # fmt: skip
    await audit(session, principal, "alert_channel.add", details)
    added = await find_channel(session, str(channel_id))
    return CreatedChannel(**answer_channel(added).model_dump(), signing_secret=secret)


@router.delete("/{id}", status_code=204)
async def remove_alert_channel(principal: CurrentUser, session: WriteAccess, channel_id: ChannelId) -> None:
    """Stop deliveries to a channel, and delete its address and secret. For Super Admins and Admins."""
    check_admin(principal)
    channel = await find_channel(session, channel_id)
    await remove_channel(session, channel.channel_id)
    details = {"channel": channel_id, "kind": channel.kind, "name": channel.name, "url": channel.masked_url}
    await audit(session, principal, "alert_channel.remove", details)


@router.post("/{id}/test", status_code=202, responses=problems(409, 429))
async def test_alert_channel(
    request: Request, principal: CurrentUser, session: WriteAccess, channel_id: ChannelId
) -> ChannelTestAccepted:
    """Send a test; see the deliveries for its result. For Super Admins and Admins, at most once per 10 s."""
    check_admin(principal)
    channel = await find_channel(session, channel_id)
    if channel.stopped_at:
        raise ApiProblem(
            "channel-stopped", f"Its receiver is gone ({channel.stop_reason}). Remove the channel and add it again."
        )
    await lock_principal(session, principal.subject)
    wait_s = math.ceil(await select_wait(session, principal.subject, TEST, CHANNEL_TEST_EVERY_S))
    if wait_s:
        raise ApiProblem("too-soon", f"Try again in {wait_s} seconds.", headers={"Retry-After": str(wait_s)})
    await insert_channel_test(session, channel.channel_id)
    await audit(session, principal, TEST, {"channel": channel_id})
    return ChannelTestAccepted(requested_at=app_state(request).now())


@router.get("/{id}/deliveries")
async def get_channel_deliveries(
    session: ReadAccess, channel_id: ChannelId, query: Annotated[HistoryQuery, Query()]
) -> ChannelDeliveries:
    """Deliveries of a channel, newest first, with all attempts."""
    channel = await find_channel(session, channel_id)
    rows = await select_channel_deliveries(session, channel.channel_id, query.read_before(), query.limit + 1)
    page, following = cut_history(rows, query.limit, lambda row: row.delivery_id)
    tries = await select_channel_attempts(session, [row.delivery_id for row in page])
    return ChannelDeliveries(
        deliveries=[answer_delivery(row, tries.get(row.delivery_id, [])) for row in page], next=following
    )


async def find_channel(session: ReadSession, channel_id: str) -> Channel:
    """Raises ApiProblem if the organization has no such channel."""
    for channel in await select_channels(session):
        if str(channel.channel_id) == channel_id:
            return channel
    raise ApiProblem("no-such-channel", "This organization has no channel with this id.")


def answer_channel(channel: Channel) -> ChannelResponse:
    return ChannelResponse(
        id=str(channel.channel_id),
        kind=channel.kind,
        name=channel.name,
        content_type=channel.content_type,
        url=channel.masked_url,
        state="stopped" if channel.stopped_at else "active",
        stopped_at=channel.stopped_at,
        stop_reason=channel.stop_reason,
        created_at=channel.created_at,
        created_by=channel.created_by,
    )


def answer_delivery(row: StoredChannelDelivery, attempt_log: list[StoredAttempt]) -> ChannelDelivery:
    return ChannelDelivery(
        event_id=row.event_id,
        event=row.event,
        alert=None if row.firing_id is None else str(row.firing_id),
        state=row.state,
        attempts=row.attempts,
        created_at=row.created_at,
        sent_at=row.sent_at,
        next_attempt_at=row.next_attempt_at,
        attempt_log=[DeliveryAttempt.model_validate(tried) for tried in attempt_log],
    )
