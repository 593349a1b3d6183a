"""Dates in an organization's time zone: spans, ranges, months, and their instants. Pure."""

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from flexcredits_schemas.calendar import local_date, midnight
from flexcredits_schemas.credits import MICRO

_MONTH_OR_DATE = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?", re.ASCII)


class Span(NamedTuple):
    """Half-open range of days: `ends_on` is the first day after it."""

    starts_on: date
    ends_on: date

    @property
    def has_end(self) -> bool:
        """False for a contract without a known end, which is stored as date.max."""
        return self.ends_on < date.max

    def covers(self, day: date) -> bool:
        return self.starts_on <= day < self.ends_on


ALL_TIME = Span(date.min, date.max)


class Days(NamedTuple):
    """Inclusive range of days, as in requests and responses."""

    first: date
    last: date


class InvalidRange(Exception):
    """An invalid range; `parameter` is the request parameter to correct."""

    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(detail)
        self.parameter = parameter
        self.detail = detail


def today_in(time_zone: str | None, now: datetime) -> date:
    """The date in the organization's time zone at the instant `now`; without a zone, in UTC."""
    return local_date(now, time_zone)


def months_left(span: Span, today: date) -> int:
    """Number of calendar months from `today` to the end of the span, including the current one. `today` is in the span."""
    last = span.ends_on - timedelta(days=1)
    return (last.year - today.year) * 12 + last.month - today.month + 1


def elapsed_share(span: Span, time_zone: str | None, now: datetime) -> int:
    """Share of the span's time that has passed at `now`, in millionths, from 0 to 1,000,000. Days may have 23 or 25 hours."""
    passed = now - midnight(span.starts_on, time_zone)
    left = midnight(span.ends_on, time_zone) - now
    if passed <= timedelta():
        return 0
    if left <= timedelta():
        return MICRO
    microsecond = timedelta(microseconds=1)
    return passed // microsecond * MICRO // ((passed + left) // microsecond)


def read_days(first: str | None, last: str | None) -> Days:
    """Parse `from` and `to`: both months or both dates, both inclusive. Raises InvalidRange."""
    if first is None:
        raise InvalidRange("from", "give `from` together with `to`")
    if last is None:
        raise InvalidRange("to", "give `to` together with `from`")
    (begin, begins_with_month), (end, ends_with_month) = _read("from", first), _read("to", last)
    if begins_with_month != ends_with_month:
        raise InvalidRange("to", "`from` and `to` must both be months or both be dates")
    if ends_with_month:
        end = end.replace(day=monthrange(end.year, end.month)[1])
    if end < begin:
        raise InvalidRange("to", "`to` must not be before `from`")
    return Days(begin, end)


def _read(parameter: str, text: str) -> tuple[date, bool]:
    """The date, and whether `text` was a month. Of a month, the date is the first day."""
    if match := _MONTH_OR_DATE.fullmatch(text):
        year, month, day = match.groups()
        try:
            return date(int(year), int(month), int(day or 1)), day is None
        except ValueError:
            pass
    raise InvalidRange(parameter, "must be a month such as 2026-09 or a date such as 2026-09-15")


def days_of(span: Span) -> Days:
    return Days(span.starts_on, span.ends_on - timedelta(days=1))


def span_of(days: Days) -> Span:
    """The same days, half-open. date.max itself is cut off: no usage can have that date."""
    return Span(days.first, min(days.last, date.max - timedelta(days=1)) + timedelta(days=1))


def month_of(day: date) -> Days:
    return Days(day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1]))


def previous_days(days: Days, *, are_months: bool) -> Days | None:
    """The same number of calendar months, or of days, directly before `days`. None before the year 1."""
    try:
        last = days.first - timedelta(days=1)
        if not are_months:
            return Days(last - (days.last - days.first), last)
        number = 2 * _number(days.first) - _number(days.last) - 1
        return Days(date(number // 12, number % 12 + 1, 1), last)
    except (ValueError, OverflowError):
        return None


def comparable(before: Days, days: Days, today: date) -> Days:
    """The part of `before` to compare with: while `days` is running, as many days as have begun until `today`; else all."""
    if not days.first <= today < days.last:
        return before
    return Days(before.first, min(before.last, before.first + (today - days.first)))


def split_at(days: Days, cuts: Sequence[date]) -> list[Days]:
    """Split `days` at each of the sorted `cuts` inside it; a cut is the first day of a piece."""
    starts = [days.first, *(cut for cut in cuts if days.first < cut <= days.last)]
    ends = [start - timedelta(days=1) for start in starts[1:]] + [days.last]
    return [Days(*piece) for piece in zip(starts, ends, strict=True)]


class Grains(NamedTuple):
    """A range split into its whole calendar months (first days of the first and the last one) and the days before and after."""

    before: Days | None
    months: Days | None
    after: Days | None


def by_grain(days: Days) -> Grains:
    """Without a whole month, all days are in `before`."""
    first = _number(days.first) + (days.first.day > 1)
    last = _number(days.last) - (days.last < month_of(days.last).last)
    if first > last:
        return Grains(days, None, None)
    first_month, last_month = (date(number // 12, number % 12 + 1, 1) for number in (first, last))
    last_whole_day = month_of(last_month).last
    one_day = timedelta(days=1)
    return Grains(
        Days(days.first, first_month - one_day) if days.first < first_month else None,
        Days(first_month, last_month),
        Days(last_whole_day + one_day, days.last) if last_whole_day < days.last else None,
    )


def grain_bounds(days: Days) -> list[date | None]:
    """Statement parameters for a range: first and last day before its whole months, of the whole months, and after them."""
    bounds: list[date | None] = []
    for grain in by_grain(days):
        bounds += grain or (None, None)
    return bounds


def count_grains(days: Days) -> int:
    """Number of whole months and single days that a range consists of."""
    before, months, after = by_grain(days)
    single = sum((part.last - part.first).days + 1 for part in (before, after) if part)
    return single + (_number(months.last) - _number(months.first) + 1 if months else 0)


def _number(day: date) -> int:
    """Number of the day's month; consecutive months have consecutive numbers."""
    return day.year * 12 + day.month - 1


def with_whole_months(days: Days) -> Days:
    """`days`, extended to the whole calendar months of its first and last day."""
    return Days(month_of(days.first).first, month_of(days.last).last)
