"""Rows that the alerter stores: banners, firings and their mails. Pure."""

from datetime import date, datetime
from typing import Literal, NamedTuple

from flexcredits_schemas.alerts import AlertKind, AttemptOutcome, Notification, Resolution, Rule

DeliveryState = Literal["pending", "sent", "failed"]


class PassedOn(NamedTuple):
    """The day on which use is projected to pass a threshold: 8 of 10 times from p10 to p90. None: not in the period."""

    p10: date | None
    p50: date | None
    p90: date | None


class RaisedBanner(NamedTuple):
    """The dates are those of a projected threshold, from the last projection."""

    contract_id: str
    period_id: str
    kind: AlertKind
    threshold: int
    fired_at: datetime
    firing_id: int | None
    p10: date | None
    p50: date | None
    p90: date | None


class Firing(NamedTuple):
    """A met threshold. Dates are half-open; used and available are micro-credits when it was met. p10, p50 and p90 are of a
    projected threshold, when it fired."""

    firing_id: int
    rule: Rule
    kind: AlertKind
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
    p10: date | None
    p50: date | None
    p90: date | None


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
