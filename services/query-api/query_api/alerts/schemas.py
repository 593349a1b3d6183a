"""Requests and responses about alerts: banner, history, and deliveries of mails."""

from datetime import date, datetime
from typing import Literal

from flexcredits_schemas.alerts import AlertKind, AttemptOutcome, Notification, Resolution, Rule
from pydantic import Field, StrictStr

from query_api.alerts.domain.firings import DeliveryState
from query_api.contracts.schemas import PERIOD_KEY, CreditPeriodRef, Period, ProductCredits
from query_api.http.fields import Credits, Percent, RequestBody, ResponseBody


class ProjectedPass(ResponseBody):
    """The day on which use is projected to pass the threshold: in 8 of 10 cases from p10 to p90. null: not in the period."""

    p10: date | None
    p50: date | None
    p90: date | None


class Banner(ResponseBody):
    """The highest threshold that usage meets in the current credit period, or the highest one that usage is projected to
    pass if that fired later."""

    id: str | None = Field(description="Id of the alert. null when not active.")
    active: bool = Field(description="Whether a threshold is met.")
    dismissed: bool = Field(
        description="Whether you dismissed it. A new banner appears for the next threshold, or when this one is met again."
    )
    kind: AlertKind | None = Field(
        description="used: usage meets the threshold. projected: usage is projected to pass it. null when not active."
    )
    threshold: int | None = Field(description="Percent of the available credits. null when not active.")
    passed_on: ProjectedPass | None = Field(description="By the last projection. null unless kind is projected.")
    percent_used: Percent | None = Field(
        description="As of now, as in the overview, even when not active. null without contracted credits."
    )
    fired_at: datetime | None = Field(description="When the threshold was met. null when not active.")
    products_over: list[ProductCredits] = Field(
        description="Products that used more in the current credit period than their contracted amount, even when not active."
    )
    credit_period: CreditPeriodRef | None


class Delivery(ResponseBody):
    """A mail to one recipient."""

    recipient: str
    state: DeliveryState = Field(description="failed: the mail server rejected it permanently.")
    attempts: int = Field(description="Number of attempts so far.")
    created_at: datetime
    sent_at: datetime | None = Field(description="When the mail server accepted it. null unless sent.")
    next_attempt_at: datetime | None = Field(
        description="Earliest time of the next attempt. During an attempt, the time of the next one if it does not finish. "
        "null unless pending."
    )
    last_error: str | None = Field(
        description="Error of the last failed attempt. null when sent, or without a failed attempt."
    )


class DeliveryAttempt(ResponseBody):
    """A finished attempt."""

    attempt: int = Field(
        description="Number of the attempt, from 1. Attempts that were interrupted by a restart are missing."
    )
    at: datetime
    outcome: AttemptOutcome
    detail: str = Field(description="Answer of the mail server, or the reason why there was none.")


class DeliveryWithAttempts(Delivery):
    """A mail with all its attempts."""

    attempt_log: list[DeliveryAttempt] = Field(description="In order.")


class AlertPeriod(Period):
    """A credit period, or a month. Half-open: `to` is the first day after it."""

    contract_id: str | None = Field(description="null for a month.")
    key: str | None = Field(description=PERIOD_KEY + " null for a month.")


class AlertBase(ResponseBody):
    """A met threshold. If it is resolved and met again, that is the next episode."""

    id: str
    rule: Rule
    kind: AlertKind = Field(
        description="used: usage met the threshold. projected: usage was projected to pass it before the period ends."
    )
    passed_on: ProjectedPass | None = Field(description="As it was known at fired_at. null unless kind is projected.")
    threshold: int = Field(description="Percent of the available credits, or of the month's budget.")
    episode: int = Field(description="Number of the episode within threshold and period, from 1.")
    period: AlertPeriod = Field(
        description="The credit period, with its dates when the threshold was met. For rule budget the month, "
        "with an id such as 2026-11."
    )
    state: Literal["met", "resolved"] = Field(description="Thresholds stay met when their period ends.")
    fired_at: datetime
    resolved_at: datetime | None = Field(description="null unless resolved.")
    resolution: Resolution | None = Field(
        description="level: usage fell below the threshold, available credits increased, or the projection turned. "
        "removed: the threshold or the "
        "period was removed. null unless resolved."
    )
    notification: Notification = Field(
        description="sent: by mails of this alert. bundled: by the mails of a higher threshold met at the same time. "
        "suppressed: no mail, because a higher threshold was announced before or, for projected use, because a mail about the "
        "period was sent that day. backfilled: no mail, because the period "
        "had ended long before."
    )
    used: Credits = Field(description="In the period, when the threshold was met.")
    available: Credits = Field(description="In the period, when the threshold was met. For rule budget, the budget.")
    percent_used: Percent | None = Field(description="When the threshold was met. null if nothing was available.")
    no_recipients: bool = Field(description="notification is sent, but there were no recipients.")


class Alert(AlertBase):
    """A met threshold, and its mails."""

    deliveries: list[Delivery] = Field(
        description="The alert's mails, by recipient. Empty if there were no recipients, and if "
        "notification is not sent."
    )


class AlertWithAttempts(AlertBase):
    """A met threshold, and its mails with all attempts."""

    deliveries: list[DeliveryWithAttempts] = Field(
        description="The alert's mails, sorted by recipient, each recipient's newest mail last."
    )


class Alerts(ResponseBody):
    """A page of alerts, newest first."""

    alerts: list[Alert]
    next: str | None = Field(description="Pass it as `before` to get older alerts. null: there are none.")


class DismissalRequest(RequestBody):
    id: StrictStr = Field(description="The banner's id.", examples=["7"])
