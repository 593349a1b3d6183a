"""Buckets of a trend: together they equal the range, also when clocks change, and each shows whether it is complete."""

import itertools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.calendar import Days
from query_api.usage.trend.domain.buckets import (
    LIMIT_DAYS,
    Bucket,
    BucketState,
    Interval,
    bucket_state,
    cut_buckets,
    default_interval,
)

ZONES = ["UTC", "Asia/Kathmandu", "America/St_Johns", "Europe/Berlin", "Australia/Lord_Howe"]
QUARTER = timedelta(minutes=15)

intervals = st.sampled_from(sorted(LIMIT_DAYS))
zones = st.sampled_from(ZONES)
# Half of the ranges begin around a day on which one of the zones changes its clocks.
begins = st.dates(date(2024, 1, 1), date(2027, 1, 1)) | st.sampled_from(
    [date(2026, month, day) for month, day in ((3, 6), (3, 28), (4, 4), (10, 3), (10, 24), (10, 31))]
)


def days_from(first: date, length: int) -> Days:
    return Days(first, first + timedelta(days=length - 1))


@given(intervals, zones, begins, st.integers(1, 70))
def test_buckets_are_the_range_without_gap_or_overlap(interval: Interval, zone: str, first: date, length: int) -> None:
    days = days_from(first, min(length, LIMIT_DAYS[interval]))
    buckets = cut_buckets(days, interval, zone)
    edges = [(buckets[0].start_at, first), (buckets[-1].end_at, days.last + timedelta(days=1))]
    assert [instant.astimezone(ZoneInfo(zone)) for instant, _ in edges] == [
        datetime.combine(day, time(), ZoneInfo(zone)) for _, day in edges
    ]
    assert all(before.end_at == following.start_at for before, following in itertools.pairwise(buckets))
    assert all(bucket.start_at < bucket.end_at for bucket in buckets)
    for bucket in buckets:
        assert (bucket.end_at - bucket.start_at) % QUARTER == timedelta()
        assert (bucket.days is None) == (interval in ("15m", "hour"))


@given(st.sampled_from(["day", "week", "month"]), zones, begins, st.integers(1, 70))
def test_each_day_lies_in_the_bucket_of_its_week_or_month(
    interval: Interval, zone: str, first: date, length: int
) -> None:
    days = days_from(first, length)
    buckets = cut_buckets(days, interval, zone)
    held = [
        (n, bucket.days.first + timedelta(days=offset))
        for n, bucket in enumerate(buckets)
        if bucket.days
        for offset in range((bucket.days.last - bucket.days.first).days + 1)
    ]
    assert [day for _, day in held] == [first + timedelta(days=n) for n in range(length)]

    def calendar(day: date) -> object:
        return {"day": day, "week": day.isocalendar()[:2], "month": (day.year, day.month)}[interval]

    assert all((a == b) == (calendar(x) == calendar(y)) for (a, x), (b, y) in itertools.pairwise(held))


@pytest.mark.parametrize(
    ("zone", "day", "hours", "quarters", "odd"),
    [
        ("UTC", "2026-03-29", 24, 96, []),
        ("Asia/Kathmandu", "2026-03-29", 24, 96, []),
        ("Europe/Berlin", "2026-03-29", 23, 92, []),
        ("Europe/Berlin", "2026-10-25", 25, 100, []),
        ("America/St_Johns", "2026-03-08", 23, 92, []),
        ("America/St_Johns", "2026-11-01", 25, 100, []),
        ("Australia/Lord_Howe", "2026-10-04", 24, 94, ["02:30"]),  # 02:00 becomes 02:30
        ("Australia/Lord_Howe", "2026-04-05", 25, 98, ["01:30"]),  # 02:00 becomes 01:30, a second time
    ],
)
def test_hours_of_a_day_on_which_clocks_change(zone: str, day: str, hours: int, quarters: int, odd: list[str]) -> None:
    days = days_from(date.fromisoformat(day), 1)
    buckets = cut_buckets(days, "hour", zone)
    assert (len(buckets), len(cut_buckets(days, "15m", zone))) == (hours, quarters)
    short = [bucket for bucket in buckets if bucket.end_at - bucket.start_at != timedelta(hours=1)]
    assert [f"{bucket.start_at.astimezone(ZoneInfo(zone)):%H:%M}" for bucket in short] == odd
    assert all(bucket.start_at.astimezone(ZoneInfo(zone)).minute == 0 for bucket in buckets if bucket not in short)


@pytest.mark.parametrize(
    ("length", "interval"),
    [(1, "hour"), (2, "hour"), (3, "day"), (92, "day"), (93, "week"), (400, "week"), (401, "month"), (33_000, "month")],
)
def test_the_default_interval_suits_the_range(length: int, interval: Interval) -> None:
    days = days_from(date(2020, 1, 1), length)
    assert default_interval(days) == interval
    assert len(cut_buckets(days, interval, "Europe/Berlin")) <= 1_100


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ends_in_m", "complete_in_m", "is_used", "state"),
    [
        (-60, -60, False, "complete"),
        (-60, -61, False, "partial"),
        (-60, -120, False, "missing"),
        (-60, -120, True, "partial"),
        (-60, None, False, "missing"),
        (-60, None, True, "partial"),
        (30, 0, False, "partial"),
        (30, None, False, "missing"),
        (60, 0, False, "future"),
        (60, 0, True, "partial"),
        (60, None, False, "future"),
    ],
)
def test_what_has_not_come_is_not_zero(
    ends_in_m: int, complete_in_m: int | None, is_used: bool, state: BucketState
) -> None:
    end_at = NOW + timedelta(minutes=ends_in_m)
    bucket = Bucket(end_at - timedelta(hours=1), end_at, None)
    complete_to = None if complete_in_m is None else NOW + timedelta(minutes=complete_in_m)
    assert bucket_state(bucket, NOW, complete_to, is_used) == state
