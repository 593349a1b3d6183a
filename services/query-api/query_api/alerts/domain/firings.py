"""Rows that the alerter stores: banners, firings and their mails. Pure."""

from datetime import date, datetime
from typing import Literal, NamedTuple

from flexcredits_schemas.alerts import AttemptOutcome, Notification, Resolution, Rule

DeliveryState = Literal["pending", "sent", "failed"]


class RaisedBanner(NamedTuple):
    contract_id: str
    period_id: str
    threshold: int
    fired_at: datetime
    firing_id: int | None


class Firing(NamedTuple):
    """A met threshold. Dates are half-open; used and available are micro-credits when it was met."""

    firing_id: int
    rule: Rule
    contract_id: str  # "" for a month
    period_id: str
    threshold: int
    episode: int
    starts_on: date
    ends_on: date
    fired_at: datetime
    used: int
    available: int
    notification: Notification
    resolved_at: datetime | None
    resolution: Resolution | None


class StoredMail(NamedTuple):
    """A mail to one recipient, with its delivery state."""

    recipient: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    sent_at: datetime | None
    next_attempt_at: datetime | None
    last_error: str | None
    email_id: int


class StoredAttempt(NamedTuple):
    """A finished attempt at a mail."""

    attempt: int
    at: datetime
    outcome: AttemptOutcome
    detail: str
