"""The bodies of what we answer about alerts: the banner, the history, and what became of the mails."""

from datetime import datetime
from typing import Literal

from flexcredits_schemas.alerts import AttemptOutcome, Notification, Resolution, Rule
from pydantic import Field, StrictStr

from query_api.alerts.domain.firings import DeliveryState
from query_api.contracts.schemas import PERIOD_KEY, CreditPeriodRef, Period, ProductCredits
from query_api.http.fields import Answer, Asked, Credits, Percent


class Banner(Answer):
    """The highest threshold that usage meets in the current credit period."""

    id: str | None = Field(description="Of the alert that it announces. null when not active.")
    active: bool = Field(description="Whether a threshold is met.")
    dismissed: bool = Field(
        description="Whether you dismissed it. The next threshold, or this one met again, is another."
    )
    threshold: int | None = Field(description="Percent of the available credits. null when not active.")
    percent_used: Percent | None = Field(
        description="As of now, as in the overview, and active or not. null without contracted credits."
    )
    fired_at: datetime | None = Field(description="When the threshold was met. null when not active.")
    products_over: list[ProductCredits] = Field(
        description="Products that used more in the current credit period than their own contracted amount; active or not."
    )
    credit_period: CreditPeriodRef | None


class Delivery(Answer):
    """A mail to one recipient."""

    recipient: str
    state: DeliveryState = Field(description="failed: the mail server refused it for good.")
    attempts: int = Field(description="Begun so far.")
    created_at: datetime
    sent_at: datetime | None = Field(description="When the mail server took it. null unless sent.")
    next_attempt_at: datetime | None = Field(
        description="Not before. While an attempt is under way, when the next would follow if it stays without an end. "
        "null unless pending."
    )
    last_error: str | None = Field(
        description="What became of the last attempt that was deferred or refused. null when sent, or when there was none."
    )


class DeliveryAttempt(Answer):
    """An attempt that has ended."""

    attempt: int = Field(description="Counts from 1. One that ended with its process is missing.")
    at: datetime
    outcome: AttemptOutcome
    detail: str = Field(description="What the mail server said, or why it could not.")


class DeliveryWithAttempts(Delivery):
    """A mail with every attempt."""

    attempt_log: list[DeliveryAttempt] = Field(description="In order.")


class FiredPeriod(Period):
    """A credit period, or a month. Half-open: `to` is the first day after it."""

    contract_id: str | None = Field(description="null of a month.")
    key: str | None = Field(description=PERIOD_KEY + " null of a month.")


class Fired(Answer):
    """A threshold was met, once per episode: it resolves, and met again it is the next episode."""

    id: str
    rule: Rule
    threshold: int = Field(description="Percent of the available credits, or of the month's budget.")
    episode: int = Field(description="Counts from 1 within the threshold and period.")
    period: FiredPeriod = Field(
        description="The credit period, with the dates that it had when the threshold was met; of rule budget the month, "
        "whose id is such as 2026-11."
    )
    state: Literal["met", "resolved"] = Field(description="A period that ends leaves what was met in it as met.")
    fired_at: datetime
    resolved_at: datetime | None = Field(description="null unless resolved.")
    resolution: Resolution | None = Field(
        description="level: usage fell under the threshold, or the contract grew. removed: the threshold or the period "
        "was removed. null unless resolved."
    )
    notification: Notification = Field(
        description="sent: by mails of this alert. bundled: by the mails of a higher threshold met at the same time. "
        "suppressed: no mail, because a higher threshold was announced before. backfilled: no mail, because the period "
        "had ended long before."
    )
    used: Credits = Field(description="In the period, when the threshold was met.")
    available: Credits = Field(description="In the period, when the threshold was met; of rule budget the budget.")
    percent_used: Percent | None = Field(description="When the threshold was met. null if nothing was available.")
    no_recipients: bool = Field(description="notification is sent, but there was nobody to send a mail to.")


class Alert(Fired):
    """A threshold that was met, and its mails."""

    deliveries: list[Delivery] = Field(
        description="The alert's mails, by recipient. Empty if there was nobody to send a mail to, and if "
        "notification is not sent."
    )


class AlertInDetail(Fired):
    """A threshold that was met, and its mails with every attempt."""

    deliveries: list[DeliveryWithAttempts] = Field(
        description="The alert's mails, by recipient; the newest is the last of each."
    )


class Alerts(Answer):
    """A page of the history, newest first."""

    alerts: list[Alert]
    next: str | None = Field(description="Give it as `before` to get the page of older ones. null: there are none.")


class DismissalRequest(Asked):
    id: StrictStr = Field(description="The banner's.", examples=["7"])
