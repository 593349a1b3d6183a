"""The stored projection of a period: which projected thresholds it meets, and whether it is outdated. Pure."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

HOLDS_PERMILLE = 333
"""A threshold fires when the middle date is in the period: use is more likely to pass it than not. It is retracted only below
this probability, so that it does not come and go with the days around one half."""
RETRIED = ("days_missing", "usage_not_counted")
RETRY = timedelta(minutes=15)
"""A projection that was refused for these reasons is tried again after this time: totals may be complete then."""
RUN_OUT = 100
"""The threshold whose date is the run-out date."""
NEAR_PERCENT = 10
"""From this far below a threshold, a period is projected for the mail that is to come."""


class PassedOn(NamedTuple):
    """The day on which use passes a threshold: 8 of 10 times from p10 to p90. None: not in the period."""

    p10: date | None
    p50: date | None
    p90: date | None

    def as_texts(self) -> dict[str, str | None]:
        return {name: None if day is None else f"{day}" for name, day in self._asdict().items()}


class Mark(NamedTuple):
    """A threshold in percent, the probability with which use passes it in the period, and when."""

    threshold: int
    permille: int
    passed_on: PassedOn


class MadeFor(NamedTuple):
    """A period's dates and available micro-credits. Where they are amended, the period keeps its identity."""

    starts_on: date
    ends_on: date
    available: int | None


class StoredProjection(NamedTuple):
    """The last projection of a period. `day` is the local day on which it was made."""

    day: date
    made_for: MadeFor
    thresholds: Sequence[int]
    marks: Sequence[Mark]
    """Of the thresholds; empty if it was refused."""
    refusal: str | None
    detail: str | None
    projected_at: datetime


def is_outdated(
    stored: StoredProjection | None, period: MadeFor, thresholds: Collection[int], today: date, now: datetime
) -> bool:
    """Whether a period must be projected: for the first time, on another day, for other dates, another amount or other
    thresholds, or again after a refusal."""
    if stored is None or (stored.day, stored.made_for) != (today, period):
        return True
    if not set(thresholds) <= set(stored.thresholds):
        return True
    return stored.refusal in RETRIED and now - stored.projected_at >= RETRY
