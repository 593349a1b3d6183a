"""Decides from a period's level which thresholds fire or resolve, and which notifications are sent. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

from flexcredits_schemas.alerts import Notification, Resolution, Rule, is_met
from flexcredits_schemas.calendar import midnight

PeriodState = Literal["current", "ended", "long_ended"]

NOTIFIED_AFTER_END = timedelta(hours=72)
"""Late usage still sends notifications for this time after a period's end. Later firings are only recorded."""


class Period(NamedTuple):
    """Identity of a period that a rule measures. Amendments of dates or amounts do not change it.

    Usage: a credit period. Budget: a calendar month such as 2026-11, without a contract.
    """

    rule: Rule
    contract_id: str
    period_id: str


class UsageLevel(NamedTuple):
    """Used and available micro-credits of a period, and the rule's thresholds in percent.

    `available`: contracted credits and included add-ons, or the budget; None without a contracted amount. Dates are half-open,
    in the organization's zone.
    """

    organization_id: int
    time_zone: str
    thresholds: Sequence[int]
    period: Period
    starts_on: date
    ends_on: date
    available: int | None
    used: int


class Latest(NamedTuple):
    """The latest episode of a threshold in a period."""

    episode: int
    is_open: bool
    fired_at: datetime


class NewFiring(NamedTuple):
    threshold: int
    episode: int
    notification: Notification


@dataclass(frozen=True)
class Verdict:
    """The changes in a period; false if there are none."""

    fire: list[NewFiring] = field(default_factory=list)
    resolve: list[tuple[int, Resolution]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.fire or self.resolve)


def crossed(used: int, available: int | None, percents: Sequence[int]) -> list[int]:
    """Thresholds, in percent of `available` micro-credits, that `used` meets, lowest first.

    Compares the level, not the difference to the previous total, because totals may be repeated or skipped.
    """
    if available is None or available <= 0:
        return []  # without a contract there is no percentage: the usage is overage
    return sorted({percent for percent in percents if is_met(used, available, percent)})


def evaluate(
    used: int, available: int | None, percents: Sequence[int], latest: Mapping[int, Latest], state: PeriodState
) -> Verdict:
    """Compare a level with the period's firings so far.

    Of several thresholds that are met at once, only the highest sends mail. A threshold sends none if a higher one is
    open, because that one was announced. It also sends none if it never fired but a higher one did in this period,
    because then it was added later.
    """
    met = crossed(used, available, percents)
    open_ones = {threshold for threshold, at in latest.items() if at.is_open}
    new = [threshold for threshold in met if threshold not in open_ones]
    notifications: dict[int, Notification] = {}
    for threshold in new:
        outranked = any(other > threshold for other in open_ones.intersection(met))
        added_later = threshold not in latest and any(other > threshold for other in latest)
        notifications[threshold] = "suppressed" if outranked or added_later else "bundled"
    worth_a_mail = [threshold for threshold in new if notifications[threshold] == "bundled"]
    if worth_a_mail:
        notifications[worth_a_mail[-1]] = "sent"
    if state == "long_ended":
        notifications = dict.fromkeys(new, "backfilled")
    fire = [
        NewFiring(threshold, latest[threshold].episode + 1 if threshold in latest else 1, notifications[threshold])
        for threshold in new
    ]
    resolve: list[tuple[int, Resolution]] = [
        (threshold, "level" if threshold in percents else "removed") for threshold in sorted(open_ones - set(met))
    ]
    return Verdict(fire, resolve)


def period_state(level: UsageLevel, now: datetime) -> PeriodState:
    """Whether the level's period is current, ended recently, or ended long ago."""
    ends_at = midnight(level.ends_on, level.time_zone)
    if now < ends_at:
        return "current"
    return "ended" if now - ends_at < NOTIFIED_AFTER_END else "long_ended"


def has_begun(level: UsageLevel, now: datetime) -> bool:
    return now >= midnight(level.starts_on, level.time_zone)


def elapsed_permille(level: UsageLevel, now: datetime) -> int:
    """The elapsed part of the level's period, in thousandths."""
    starts_at, ends_at = midnight(level.starts_on, level.time_zone), midnight(level.ends_on, level.time_zone)
    return max(0, min(1000, (now - starts_at) * 1000 // (ends_at - starts_at)))
