"""Glide path, pace, and the part of today that is over."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flexcredits_schemas.projection.history import complete_until, days_in_a_row, elapsed_part, seed_of, usual_day
from flexcredits_schemas.projection.refusals import why_not_counted
from hypothesis import given
from hypothesis import strategies as st
from query_api.calendar import Span
from query_api.contracts.domain.periods import CreditPeriod
from query_api.projection.compute import answer_glide_path
from query_api.projection.domain.plan import exhausted_on, glide_path, tenths_ahead
from query_api.projection.schemas import ProjectionQuery
from query_api.projection.usage import ScopeUsage

YEAR = Span(date(2026, 2, 15), date(2027, 2, 15))
TODAY = date(2026, 11, 22)


@given(st.integers(0, 10**20), st.dates(YEAR.starts_on, date(2027, 2, 14)))
def test_the_months_of_the_plan_add_up_to_what_remains(remaining: int, today: date) -> None:
    path = glide_path(remaining, 0, today, YEAR)
    assert sum(month.credits for month in path.months) == remaining
    assert path.days == (YEAR.ends_on - today).days
    assert path.per_day * path.days <= remaining < (path.per_day + 1) * path.days
    assert path.months[0].first == today
    assert path.months[-1].last == date(2027, 2, 14)
    for before, after in zip(path.months, path.months[1:], strict=False):
        assert after.first == before.last + timedelta(days=1)
        assert after.first.day == 1
    for month in path.months:
        days = (month.last - month.first).days + 1
        assert abs(month.credits - path.per_day * days) <= 2 * days


def test_the_monthly_budget_has_what_the_month_used_already() -> None:
    path = glide_path(8_500, 1_000, TODAY, YEAR)  # 85 days
    assert (path.days, path.per_day) == (85, 100)
    assert [month.credits for month in path.months] == [900, 3_100, 3_100, 1_400]
    assert path.monthly_budget == 1_900


def test_the_monthly_budget_counts_the_whole_month_also_if_the_credit_period_began_in_it() -> None:
    """As the alert on the budget does."""
    period = CreditPeriod("c", "p", Span(date(2026, 11, 16), date(2026, 12, 1)), 1_000, (None, None, None), None)
    usage = ScopeUsage({date(2026, 10, 31): 7, date(2026, 11, 3): 5_000, date(2026, 11, 20): 100}, 100, 1_000, 900)
    path = answer_glide_path(ProjectionQuery(), period, usage, TODAY)
    assert path is not None
    assert (path.remaining_credits, path.monthly_budget) == (900, 5_000 + 100 + 900)


@pytest.mark.parametrize(
    ("used", "available", "elapsed", "tenths"),
    [
        (50, 100, 500_000, 0),
        (60, 100, 500_000, 365),  # a tenth of a year ahead
        (40, 100, 500_000, -365),
        (0, 100, 0, 0),
        (200, 100, 1_000_000, 3650),
        (1, 0, 500_000, None),
        (1, None, 500_000, None),
    ],
)
def test_days_ahead_of_an_even_pace(used: int, available: int | None, elapsed: int, tenths: int | None) -> None:
    assert tenths_ahead(used, available, YEAR, elapsed) == tenths


def test_credits_are_exhausted_on_the_day_after_which_none_came_back() -> None:
    used = {
        date(2026, 2, 14): 100,
        date(2026, 3, 1): 60,
        date(2026, 3, 2): 40,
        date(2026, 3, 5): -1,
        date(2026, 4, 1): 2,
    }
    assert exhausted_on(used, 100, YEAR) == date(2026, 4, 1)
    assert exhausted_on(used, 101, YEAR) == date(2026, 4, 1)
    assert exhausted_on(used, 102, YEAR) is None
    assert exhausted_on(used, 50, YEAR) == date(2026, 3, 1)
    assert exhausted_on(used, None, YEAR) is None


def at(hour: int, minute: int = 0, day: int = 22, second: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    ("complete_to", "complete"),
    [
        (at(12, 14, second=59), at(12)),  # by quarters of an hour, so that the answer does not change every second
        (at(12, 15), at(12, 15)),
        (at(0), at(0)),
        (at(23, 30, day=21), at(0)),  # yesterday is complete enough
        (at(22, 59, day=21), None),
        (None, None),
    ],
)
def test_days_before_today_must_be_complete(complete_to: datetime | None, complete: datetime | None) -> None:
    assert complete_until(complete_to, "UTC", TODAY) == complete


def test_today_is_measured_by_the_shape_of_last_weeks_day() -> None:
    office = [(at(9, day=15) + timedelta(minutes=15 * quarter), 10) for quarter in range(36)]  # from 9 to 18 o'clock
    assert elapsed_part(at(8), TODAY, "UTC", office) == 0
    assert elapsed_part(at(13, 30), TODAY, "UTC", office) == 0.5
    assert elapsed_part(at(18), TODAY, "UTC", office) == 1
    assert elapsed_part(at(6), TODAY, "UTC", []) == 0.25
    assert usual_day(TODAY, "Asia/Kathmandu") == (at(18, 15, day=14), at(18, 15, day=15))


@pytest.mark.parametrize(
    ("today", "hours", "noon"),
    [
        (date(2026, 10, 25), 25, datetime(2026, 10, 25, 11, tzinfo=UTC)),
        (
            date(2026, 11, 1),
            24,
            datetime(2026, 11, 1, 11, tzinfo=UTC),
        ),  # the week after: last week's day is the long one
        (date(2026, 3, 29), 23, datetime(2026, 3, 29, 10, tzinfo=UTC)),
        (date(2026, 4, 5), 24, datetime(2026, 4, 5, 10, tzinfo=UTC)),
    ],
)
def test_days_on_which_clocks_change_keep_the_shape_of_office_hours(today: date, hours: int, noon: datetime) -> None:
    begins, ends = usual_day(today, "Europe/Berlin")
    quarters = [begins + timedelta(minutes=15 * number) for number in range((ends - begins) // timedelta(minutes=15))]
    office = [(each, 10) for each in quarters if 9 <= each.astimezone(ZoneInfo("Europe/Berlin")).hour < 15]
    assert elapsed_part(noon, today, "Europe/Berlin", office) == 0.5
    before, after = usual_day(today + timedelta(days=7), "Europe/Berlin")
    assert (after - before) / timedelta(hours=1) == hours
    assert elapsed_part(before, today, "Europe/Berlin", office) == 0
    assert elapsed_part(after, today, "Europe/Berlin", office) == 1


def test_days_without_usage_are_zero() -> None:
    assert days_in_a_row({date(2026, 11, 20): 5, TODAY: 7}, date(2026, 11, 19), TODAY) == [0, 5, 0]


def test_paths_differ_by_scope_and_day_only() -> None:
    one = seed_of("org", None, None, at(1), "UTC")
    assert one == seed_of("org", None, None, at(23), "UTC")
    others = {seed_of("org", "api", None, at(1), "UTC"), seed_of("org", None, "api", at(1), "UTC"), seed_of("org2", None, None, at(1), "UTC"),
              seed_of("org", None, None, at(1, day=23), "UTC")}  # fmt: skip
    assert len(others | {one}) == 5


def test_more_than_one_in_a_hundred_held_events_refuse_a_projection() -> None:
    events = {date(2026, 9, 1): 10_000, date(2026, 10, 1): 500, date(2026, 11, 1): 500}
    why = [why_not_counted(is_quarantined=False, held=held, events=events, today=TODAY) for held in (10, 11)]
    assert why[0] is None
    assert why[1] is not None
    assert "11 events wait" in why[1]
    assert why_not_counted(is_quarantined=True, held=0, events=events, today=TODAY) is not None
