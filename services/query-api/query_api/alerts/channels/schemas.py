"""The bodies of channels, as they are asked for and answered."""

from datetime import datetime
from typing import Literal

from flexcredits_schemas.alerts import ChannelKind
from pydantic import Field, StrictStr

from query_api.alerts.channels.domain import NAME_CHARACTERS_MAX, URL_CHARACTERS_MAX, ContentType
from query_api.alerts.domain.firings import DeliveryState
from query_api.alerts.schemas import DeliveryAttempt
from query_api.http.fields import Answer, Asked


class ChannelRequest(Asked):
    """A receiver of alerts."""

    kind: ChannelKind = Field(
        description="webhook: signed CloudEvents of every firing and its end. slack: what is mailed, and its end."
    )
    name: StrictStr = Field(min_length=1, max_length=NAME_CHARACTERS_MAX, examples=["On call"])
    url: StrictStr = Field(max_length=URL_CHARACTERS_MAX, description="https, on the public Internet.")
    content_type: ContentType = Field(
        default="application/json",
        description="Of what is sent to a webhook; the body is the same CloudEvent. Most receivers parse application/json alone.",
    )


class ChannelResponse(Answer):
    id: str
    kind: ChannelKind
    name: str
    content_type: ContentType
    url: str = Field(description="Host and last characters: what is between may be a secret.")
    state: Literal["active", "stopped"] = Field(description="stopped: the receiver said that it is gone. Add it anew.")
    stopped_at: datetime | None
    stop_reason: str | None = Field(description="What the receiver said.")
    created_at: datetime
    created_by: str


class CreatedChannel(ChannelResponse):
    signing_secret: str | None = Field(
        description="Of a webhook, to verify its signature by Standard Webhooks. Shown this once. null for Slack."
    )


class Channels(Answer):
    channels: list[ChannelResponse]


class ChannelTestAccepted(Answer):
    requested_at: datetime


class ChannelDelivery(Answer):
    """An event to a channel, with every attempt."""

    event_id: str = Field(description="The receiver's webhook-id; copies have it too.")
    event: Literal["fired", "resolved", "test"]
    alert: str | None = Field(description="Id of the alert. null for a test.")
    state: DeliveryState = Field(description="failed: refused for good, or given up after three days.")
    attempts: int = Field(description="Begun so far.")
    created_at: datetime
    sent_at: datetime | None = Field(description="When the receiver took it. null unless sent.")
    next_attempt_at: datetime | None = Field(description="Not before. null unless pending.")
    attempt_log: list[DeliveryAttempt] = Field(description="In order.")


class ChannelDeliveries(Answer):
    """A page of what went to a channel, newest first."""

    deliveries: list[ChannelDelivery]
    next: str | None = Field(description="Give it as `before` to get the page of older ones. null: there are none.")
