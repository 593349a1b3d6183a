"""Pace and glide path of a credit period, in whole micro-credits. Pure."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple

from flexcredits_schemas.credits import MICRO

from query_api.calendar import Span, month_of


class MonthPlan(NamedTuple):
    """The part of a calendar month from today, or from its first day, to the end of the credit period."""

    first: date
    last: date
    credits: int


class GlidePath(NamedTuple):
    """Budgets with which the remaining credits last exactly to the end of the credit period."""

    per_day: int
    """Rounded down."""
    days: int
    months: list[MonthPlan]
    """Their sum is exactly what remained when today began."""
    monthly_budget: int
    """For the whole current month: what it used before today, and its part of the plan."""


def glide_path(remaining: int, used_this_month: int, today: date, span: Span) -> GlidePath:
    """The same amount for each day from today. `remaining` and `used_this_month` are of the beginning of today."""
    days = (span.ends_on - today).days
    months, begins = [], today
    while begins < span.ends_on:
        last = min(month_of(begins).last, span.ends_on - timedelta(days=1))
        before, after = (begins - today).days, (last - today).days + 1
        months.append(MonthPlan(begins, last, remaining * after // days - remaining * before // days))
        begins = last + timedelta(days=1)
    return GlidePath(remaining // days, days, months, used_this_month + months[0].credits)


def tenths_ahead(used: int, available: int | None, span: Span, elapsed: int) -> int | None:
    """How many tenths of a day use is ahead of an even pace; negative: behind. `elapsed` is in millionths of the period.

    None without available credits.
    """
    if not available:
        return None
    tenths = (span.ends_on - span.starts_on).days * 10
    return used * tenths // available - elapsed * tenths // MICRO


def exhausted_on(used: Mapping[date, int], available: int | None, span: Span) -> date | None:
    """The day of the credit period on which the available credits were used up, for good: corrections may give some back."""
    so_far, found = 0, None
    for day in sorted(day for day in used if span.covers(day)):
        so_far += used[day]
        if available is None or so_far < available:
            found = None
        elif found is None:
            found = day
    return found
