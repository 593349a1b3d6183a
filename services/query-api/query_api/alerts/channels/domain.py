"""Channels, and validation of new ones. Pure."""

import secrets
from base64 import b64encode
from datetime import datetime
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from flexcredits_schemas.alerts import ChannelKind

from query_api.alerts.domain.firings import DeliveryState

ContentType = Literal["application/json", "application/cloudevents+json"]

CHANNELS_MAX = 10
NAME_CHARACTERS_MAX = 100
URL_CHARACTERS_MAX = 2000
SLACK_HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")


class InvalidChannel(ValueError):
    """A new channel is invalid: which field, and why."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer


class Channel(NamedTuple):
    """A webhook or Slack address that receives alerts."""

    channel_id: int
    kind: ChannelKind
    name: str
    masked_url: str
    created_at: datetime
    created_by: str
    stopped_at: datetime | None
    stop_reason: str | None
    content_type: ContentType


class StoredChannelDelivery(NamedTuple):
    """An alert event to a channel, with its delivery state."""

    delivery_id: int
    event_id: str
    event: Literal["fired", "resolved", "test"]
    firing_id: int | None
    state: DeliveryState
    attempts: int
    created_at: datetime
    sent_at: datetime | None
    next_attempt_at: datetime | None


def check_channel(kind: ChannelKind, name: str, url: str, content_type: ContentType) -> None:
    """Raises InvalidChannel. The alerter checks on each delivery that the address is public."""
    if not name.strip() or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise InvalidChannel("/name", f"must have 1 to {NAME_CHARACTERS_MAX} printable characters")
    if kind == "slack" and content_type != "application/json":
        raise InvalidChannel("/content_type", "must be application/json for Slack")
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidChannel("/url", f"must have at most {URL_CHARACTERS_MAX} characters of ASCII and no spaces")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidChannel("/url", f"is not valid: {error}") from None
    try:
        (host or "").encode("idna")
    except UnicodeError:  # an empty or too long label: not a valid host name
        raise InvalidChannel("/url", "must name a valid host") from None
    if parts.scheme != "https" or not host:
        raise InvalidChannel("/url", "must start with https:// and name a host")
    if parts.username is not None or parts.password is not None or "#" in url or "\\" in url:
        raise InvalidChannel("/url", "must not contain a user, password or fragment: webhooks are signed instead")
    if kind == "slack" and (host not in SLACK_HOSTS or not parts.path.startswith("/services/")):
        raise InvalidChannel("/url", "must be an incoming webhook URL from Slack: https://hooks.slack.com/services/...")


def mask(url: str) -> str:
    """The host and the last characters of the URL, whose middle is often secret."""
    parts = urlsplit(url)
    return f"https://{parts.netloc}/…{url[-4:]}" if len(parts.path) > 8 else f"https://{parts.netloc}/…"


def make_signing_secret() -> str:
    """A secret in the format of Standard Webhooks: 24 to 64 random bytes, base64 with a prefix."""
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
