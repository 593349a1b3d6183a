"""Decides from a period's level which thresholds fire or resolve, and which notifications are sent. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

from flexcredits_schemas.alerts import AlertKind, Notification, Resolution, Rule, is_met
from flexcredits_schemas.calendar import local_date, midnight

from alerter.domain.projected import (
    HOLDS_PERMILLE,
    NEAR_PERCENT,
    RUN_OUT,
    MadeFor,
    Mark,
    PassedOn,
    StoredProjection,
    is_outdated,
)

PeriodState = Literal["current", "ended", "long_ended"]

NOTIFIED_AFTER_END = timedelta(hours=72)
"""Late usage still sends notifications for this time after a period's end. Later firings are only recorded."""


class Period(NamedTuple):
    """Identity of a period that a rule measures. Amendments of dates or amounts do not change it.

    Usage: a credit period. Budget: a calendar month such as 2026-11, without a contract. Its use and its projected use are
    compared with thresholds of their own.
    """

    rule: Rule
    contract_id: str
    period_id: str
    kind: AlertKind = "used"

    @property
    def identity(self) -> tuple[str, ...]:
        """The parts of ids of mails and alert events."""
        return (*self[:3],) if self.kind == "used" else (*self,)


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
    projection: StoredProjection | None = None
    """Of the period, whatever it was made for; None: it was not projected yet."""

    @property
    def made_for(self) -> MadeFor:
        """What a projection of the period must be made for."""
        return MadeFor(self.starts_on, self.ends_on, self.available)


class Latest(NamedTuple):
    """The latest episode of a threshold in a period."""

    episode: int
    is_open: bool
    fired_at: datetime
    mailed_at: datetime | None = None
    """When an episode of the threshold last sent mail."""


class NewFiring(NamedTuple):
    threshold: int
    episode: int
    notification: Notification


@dataclass(frozen=True)
class Verdict:
    """The changes in a period; false if there are none."""

    fire: list[NewFiring] = field(default_factory=list)
    resolve: list[tuple[int, Resolution]] = field(default_factory=list)
    passed_on: Mapping[int, PassedOn] = field(default_factory=dict)
    """Of projected use: when each threshold of `fire` is passed."""

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
    return compare(met, percents, latest, state)


def evaluate_projected(level: UsageLevel, latest: Mapping[int, Latest], state: PeriodState, now: datetime) -> Verdict:
    """Compare the projection of a period with its firings on projected use so far.

    A refused or outdated projection fires nothing and retracts nothing. A threshold that use has met is not projected. When
    the period ends, firings stay as they are. At most one of a day's firings in a period sends mail.
    """
    if state != "current":
        return Verdict()
    today = local_date(now, level.time_zone)
    marks = marks_today(level, today)
    open_ones = {threshold for threshold, at in latest.items() if at.is_open}
    met = [
        threshold
        for threshold in sorted(level.thresholds)
        if is_projected(level, marks.get(threshold), threshold, is_open=threshold in open_ones)
    ]
    verdict = compare(met, level.thresholds, latest, state)
    is_mailed = any(at.mailed_at and local_date(at.mailed_at, level.time_zone) >= today for at in latest.values())
    fire = [firing._replace(notification="suppressed") if is_mailed else firing for firing in verdict.fire]
    return Verdict(fire, verdict.resolve, {at.threshold: marks[at.threshold].passed_on for at in fire})


def marks_today(level: UsageLevel, today: date) -> dict[int, Mark]:
    """By threshold. Empty without a projection of today for the period as it is, and if it was refused."""
    stored = level.projection
    if stored is None or (stored.day, stored.made_for) != (today, level.made_for):
        return {}
    return {mark.threshold: mark for mark in stored.marks}


def is_projected(level: UsageLevel, mark: Mark | None, threshold: int, *, is_open: bool) -> bool:
    """Whether a projected threshold is met."""
    if not level.available or level.available < 0:
        return False
    if is_open:
        return mark is None or mark.permille >= HOLDS_PERMILLE
    is_passed = mark is not None and mark.passed_on.p50 is not None
    return is_passed and not is_met(level.used, level.available, threshold)


def compare(met: Sequence[int], percents: Sequence[int], latest: Mapping[int, Latest], state: PeriodState) -> Verdict:
    """The changes after which exactly the thresholds `met`, lowest first, are open."""
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


def needs_projection(level: UsageLevel, latest: Mapping[int, Latest], projected: Sequence[int], now: datetime) -> bool:
    """Whether the period needs a projection: it has the projected thresholds `projected`, or is near the next threshold of
    its use, whose mail says when credits run out. `level` and `latest` are of its use."""
    if not level.available or level.available < 0:
        return False
    if not projected and not is_near(level.used, level.available, level.thresholds, latest):
        return False
    if all(is_met(level.used, level.available, percent) for percent in marks_of(projected)):
        return False
    return has_begun(level, now) and period_state(level, now) == "current"


def has_outdated_projection(level: UsageLevel, projected: Sequence[int], now: datetime) -> bool:
    """Whether a period that needs a projection has none for its day, dates, amount and thresholds."""
    today = local_date(now, level.time_zone)
    return is_outdated(level.projection, level.made_for, marks_of(projected), today, now)


def is_near(used: int, available: int, thresholds: Sequence[int], latest: Mapping[int, Latest]) -> bool:
    """Whether use is close to a threshold, up to 100 %, that it does not meet yet."""
    return any(
        percent <= RUN_OUT
        and not (percent in latest and latest[percent].is_open)
        and is_met(used, available, max(1, percent - NEAR_PERCENT))
        for percent in thresholds
    )


def marks_of(projected: Sequence[int]) -> list[int]:
    """The thresholds for which a period is projected."""
    return sorted({*projected, RUN_OUT})


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
