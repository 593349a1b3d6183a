"""Requests and responses of channels."""

from datetime import datetime
from typing import Literal

from flexcredits_schemas.alerts import ChannelKind
from pydantic import Field, StrictStr

from query_api.alerts.channels.domain import NAME_CHARACTERS_MAX, URL_CHARACTERS_MAX, ContentType
from query_api.alerts.domain.firings import DeliveryState
from query_api.alerts.schemas import DeliveryAttempt
from query_api.http.fields import RequestBody, ResponseBody


class ChannelRequest(RequestBody):
    """A new channel for alerts."""

    kind: ChannelKind = Field(
        description="webhook: signed CloudEvents for each firing and resolution. slack: mailed firings and resolutions."
    )
    name: StrictStr = Field(min_length=1, max_length=NAME_CHARACTERS_MAX, examples=["On call"])
    url: StrictStr = Field(max_length=URL_CHARACTERS_MAX, description="An https URL on the public Internet.")
    content_type: ContentType = Field(
        default="application/json",
        description="Content type for a webhook; the body is the same CloudEvent. Many receivers parse only application/json.",
    )


class ChannelResponse(ResponseBody):
    id: str
    kind: ChannelKind
    name: str
    content_type: ContentType
    url: str = Field(description="Host and last characters only, because the rest may be secret.")
    state: Literal["active", "stopped"] = Field(
        description="stopped: the receiver answered 410 (Slack: 404). Add the channel again."
    )
    stopped_at: datetime | None
    stop_reason: str | None = Field(description="Answer of the receiver.")
    created_at: datetime
    created_by: str


class CreatedChannel(ChannelResponse):
    signing_secret: str | None = Field(
        description="Verifies signatures of a webhook (Standard Webhooks). Only in this response. null for Slack."
    )


class Channels(ResponseBody):
    channels: list[ChannelResponse]


class ChannelTestAccepted(ResponseBody):
    requested_at: datetime


class ChannelDelivery(ResponseBody):
    """A delivery to a channel, with all attempts."""

    event_id: str = Field(description="Value of the header webhook-id; repeated deliveries have the same.")
    event: Literal["fired", "resolved", "test"]
    alert: str | None = Field(description="Id of the alert. null for a test.")
    state: DeliveryState = Field(description="failed: rejected permanently, or not delivered within three days.")
    attempts: int = Field(description="Number of attempts so far.")
    created_at: datetime
    sent_at: datetime | None = Field(description="When the receiver accepted it. null unless sent.")
    next_attempt_at: datetime | None = Field(description="Earliest time of the next attempt. null unless pending.")
    attempt_log: list[DeliveryAttempt] = Field(description="In order.")


class ChannelDeliveries(ResponseBody):
    """A page of deliveries, newest first."""

    deliveries: list[ChannelDelivery]
    next: str | None = Field(description="Pass it as `before` to get older deliveries. null: there are none.")
