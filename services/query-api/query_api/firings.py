"""What the alerter wrote down: banners, firings and their mails; and the place in their history to go on from. Pure."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import date, datetime
from typing import Literal, NamedTuple

Rule = Literal["usage", "budget"]
Told = Literal["mail", "with_higher", "silent", "history"]
Resolution = Literal["level", "removed"]
DeliveryState = Literal["pending", "sent", "failed"]
Outcome = Literal["sent", "deferred", "refused"]


class RaisedBanner(NamedTuple):
    contract_id: str
    period_id: str
    threshold: int
    fired_at: datetime
    firing_id: int | None


class Firing(NamedTuple):
    """A threshold was met. Dates are half-open; used and available are micro-credits at that instant."""

    firing_id: int
    rule: Rule
    period_id: str
    threshold: int
    episode: int
    starts_on: date
    ends_on: date
    fired_at: datetime
    used: int
    available: int
    told: Told
    resolved_at: datetime | None
    resolution: Resolution | None


class SentTo(NamedTuple):
    """A mail to one recipient, and how far it has come."""

    recipient: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    sent_at: datetime | None
    next_attempt_at: datetime | None
    last_error: str | None
    email_id: int


class Tried(NamedTuple):
    """An attempt at a mail that has ended."""

    attempt: int
    at: datetime
    outcome: Outcome
    detail: str


class InvalidCursor(Exception):
    """A text that write_cursor never wrote."""


def write_cursor(firing_id: int) -> str:
    """Opaque to clients, so that pages may one day be cut by something else."""
    return urlsafe_b64encode(firing_id.to_bytes(8, signed=True)).rstrip(b"=").decode()


def read_cursor(text: str) -> int:
    """The firing before which a page begins. Raises InvalidCursor."""
    try:
        firing_id = int.from_bytes(urlsafe_b64decode(text + "="))
        # Decoding overlooks foreign characters and left-over bits; only what we wrote is written so again.
        if firing_id > 0 and write_cursor(firing_id) == text:
            return firing_id
    except (ValueError, OverflowError):
        pass
    raise InvalidCursor(InvalidCursor.__doc__)
