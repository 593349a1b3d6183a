"""Alerts as the alerter decides them and the query API shows them: their words, and when a threshold is met. Pure."""

from typing import Literal

Rule = Literal["usage", "budget"]
"""Of a credit period's contracted credits, or of a calendar month's budget."""
Told = Literal["mail", "with_higher", "silent", "history"]
"""How people were notified of a firing: see `told` in schemas/alerts/alert.v1.json."""
Resolution = Literal["level", "removed"]
"""Why a firing ended: the level fell under the threshold, or the threshold or its period was removed."""

ChannelKind = Literal["webhook", "slack"]
"""Where alerts go beside mail."""
AttemptOutcome = Literal["sent", "deferred", "refused"]
"""How an attempt to send a mail or an alert event ended."""


def is_met(used: int, available: int, percent: int) -> bool:
    """Whether `used` micro-credits reach `percent` of `available` micro-credits, which are more than 0."""
    return used * 100 >= available * percent
