"""When usage is too incomplete for a projection, and why. Pure."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

HELD_MAX = 0.01
"""Of the events since the month before: so few held ones change no projection noticeably."""


def describe_missing_days(complete_to: datetime | None) -> str:
    """Why a watermark before the beginning of today refuses a projection."""
    until = f"are complete only to {complete_to:%Y-%m-%d %H:%M} UTC" if complete_to else "may be incomplete"
    return f"Usage of past days is missing: totals {until}."


def compared_since(today: date) -> date:
    """The first day of the month before: held events are compared with those that were counted since."""
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


def why_not_counted(*, is_quarantined: bool, held: int, events: Mapping[date, int], today: date) -> str | None:
    """Why so much usage is not counted that a projection would be too low; None if all is counted.

    `is_quarantined`: counting fails for the organization. `events`: counted events by the first day of the month.
    """
    if is_quarantined:
        return "Counting fails for this organization and is retried, so totals are incomplete."
    counted = sum(count for month, count in events.items() if month >= compared_since(today))
    if held > HELD_MAX * counted:
        return f"{held} events wait to be counted, for example for a rate, so totals are incomplete."
    return None
