"""Types of alerts, shared by alerter and query API, and the condition for a met threshold. Pure."""

from typing import Literal

Rule = Literal["usage", "budget"]
"""A threshold refers to a credit period's available credits (usage) or to a calendar month's budget (budget)."""
AlertKind = Literal["used", "projected"]
"""What met a threshold: the use so far, or the use that is projected for the end of the period."""
Notification = Literal["sent", "bundled", "suppressed", "backfilled"]
"""How people were notified of a firing: see `notification` in schemas/alerts/alert.v1.json."""
Resolution = Literal["level", "removed"]
"""Why a firing ended: the level fell under the threshold, or the threshold or its period was removed."""

ChannelKind = Literal["webhook", "slack"]
"""Kinds of channels; alerts are sent to channels in addition to mail."""
AttemptOutcome = Literal["sent", "deferred", "refused"]
"""Result of an attempt to send a mail or an alert event."""


def is_met(used: int, available: int, percent: int) -> bool:
    """Whether `used` micro-credits reach `percent` of `available` micro-credits, which are more than 0."""
    return used * 100 >= available * percent
