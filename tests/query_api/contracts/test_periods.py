"""Days, months and credit periods, and their elapsed share, in zones other than UTC."""

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from query_api.calendar import (
    ALL_TIME,
    Days,
    Grains,
    InvalidRange,
    Span,
    by_grain,
    days_of,
    elapsed_share,
    month_of,
    previous_days,
    read_days,
    span_of,
    split_at,
    today_in,
    with_whole_months,
)
from query_api.contracts.domain.periods import CreditPeriod, gap_around, period_before, period_on

KATHMANDU, ST_JOHNS = "Asia/Kathmandu", "America/St_Johns"


def period(first: date, to: date, **amounts: int) -> CreditPeriod:
    products = (amounts.get("assistant"), amounts.get("agents"), amounts.get("api"))
    return CreditPeriod("c", f"{first}", Span(first, to), amounts.get("total"), products, amounts.get("add_ons"))


@pytest.mark.parametrize(
    ("amounts", "available"),
    [
        ({}, None),
        ({"total": 100}, 100),
        ({"assistant": 30, "api": 12}, 42),
        ({"total": 100, "assistant": 30}, 100),
        ({"total": 100, "add_ons": 5}, 105),
        ({"add_ons": 5}, 5),
        ({"total": 0}, 0),
        ({"total": 0, "assistant": 0}, 0),
    ],
)
def test_the_explicit_total_goes_before_the_products_sum(amounts: dict[str, int], available: int | None) -> None:
    assert period(date(2026, 1, 1), date(2027, 1, 1), **amounts).available == available


@pytest.mark.parametrize(
    ("zone", "instant", "day"),
    [
        (KATHMANDU, "2026-11-21T18:14:59Z", "2026-11-21"),
        (KATHMANDU, "2026-11-21T18:15:00Z", "2026-11-22"),
        (ST_JOHNS, "2026-11-22T03:29:59Z", "2026-11-21"),
        (ST_JOHNS, "2026-11-22T03:30:00Z", "2026-11-22"),
        (None, "2026-11-22T23:59:59Z", "2026-11-22"),
    ],
)
def test_a_day_begins_at_the_organizations_midnight(zone: str | None, instant: str, day: str) -> None:
    assert today_in(zone, datetime.fromisoformat(instant)) == date.fromisoformat(day)


def test_the_last_day_of_a_period_belongs_to_it_and_the_next_one_does_not() -> None:
    first, second = period(date(2026, 1, 15), date(2026, 2, 15)), period(date(2026, 2, 15), date(2026, 3, 15))
    assert period_on([first, second], date(2026, 1, 14)) is None
    assert period_on([first, second], date(2026, 2, 14)) == first
    assert period_on([first, second], date(2026, 2, 15)) == second
    assert period_on([first, second], date(2026, 3, 15)) is None


def test_a_gap_reaches_from_the_last_period_to_the_next() -> None:
    periods = [period(date(2026, 1, 1), date(2026, 2, 1)), period(date(2026, 5, 1), date(2026, 6, 1))]
    assert gap_around(periods, date(2026, 3, 1)) == Span(date(2026, 2, 1), date(2026, 5, 1))
    assert gap_around(periods, date(2026, 7, 1)) == Span(date(2026, 6, 1), ALL_TIME.ends_on)
    assert gap_around([], date(2026, 7, 1)) == ALL_TIME


@pytest.mark.parametrize(
    ("zone", "first", "hours"),
    [
        ("UTC", date(2026, 3, 29), 24),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/St_Johns", date(2026, 3, 8), 23),
        ("America/Sao_Paulo", date(2018, 11, 4), 23),  # clocks skipped midnight itself
    ],
)
def test_the_elapsed_share_counts_hours_that_happened(zone: str, first: date, hours: int) -> None:
    span = Span(first, first + timedelta(days=1))
    begin = next(
        instant
        for quarter in range(4 * 72)
        if today_in(
            zone,
            instant := datetime(first.year, first.month, first.day, tzinfo=UTC)
            - timedelta(days=1)
            + timedelta(minutes=15 * quarter),
        )
        == first
    )
    assert elapsed_share(span, zone, begin) == 0
    assert elapsed_share(span, zone, begin - timedelta(hours=1)) == 0
    assert elapsed_share(span, zone, begin + timedelta(hours=6)) == 6_000_000 // hours
    assert elapsed_share(span, zone, begin + timedelta(hours=hours)) == 1_000_000
    assert elapsed_share(span, zone, begin + timedelta(days=9)) == 1_000_000


def test_the_elapsed_share_of_the_longest_contract_is_a_number() -> None:
    for zone in (KATHMANDU, ST_JOHNS, None):
        assert 0 < elapsed_share(ALL_TIME, zone, datetime(2026, 1, 1, tzinfo=UTC)) < 1_000_000


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [
        ("2026-09", "2026-11", (date(2026, 9, 1), date(2026, 11, 30))),
        ("2028-02", "2028-02", (date(2028, 2, 1), date(2028, 2, 29))),
        ("2026-09-15", "2026-09-15", (date(2026, 9, 15), date(2026, 9, 15))),
        ("2026-12", "2027-01", (date(2026, 12, 1), date(2027, 1, 31))),
        ("0001-01", "9999-12", (date.min, date.max)),
    ],
)
def test_months_and_dates_are_inclusive(first: str, last: str, days: tuple[date, date]) -> None:
    assert read_days(first, last) == days


@pytest.mark.parametrize(
    ("first", "last", "parameter"),
    [
        (None, "2026-11", "from"),
        ("2026-11", None, "to"),
        ("2026-11", "2026-10", "to"),
        ("2026-11-02", "2026-11-01", "to"),
        ("2026-11", "2026-11-30", "to"),
        ("2026-11-01", "2026-11", "to"),
        ("2026-13", "2026-13", "from"),
        ("2026-02-29", "2026-03-01", "from"),
        ("2026-1", "2026-11", "from"),
        ("26-01", "2026-11", "from"),
        ("2026-11", "2026-00", "to"),
        ("", "2026-11", "from"),
        ("٢٠٢٦-١١", "2026-11", "from"),
        ("2026-11\n", "2026-11", "from"),
        ("0000-01", "2026-11", "from"),
    ],
)
def test_a_range_that_cannot_be_read_names_its_parameter(first: str | None, last: str | None, parameter: str) -> None:
    with pytest.raises(InvalidRange) as caught:
        read_days(first, last)
    assert caught.value.parameter == parameter


def test_a_period_as_days_ends_the_day_before_it_ends() -> None:
    assert days_of(Span(date(2026, 9, 15), date(2026, 12, 15))) == Days(date(2026, 9, 15), date(2026, 12, 14))
    assert month_of(date(2026, 2, 17)) == Days(date(2026, 2, 1), date(2026, 2, 28))


@given(st.dates(), st.integers(0, 400), st.lists(st.dates(), max_size=8))
def test_pieces_of_a_range_are_the_range(first: date, length: int, cuts: list[date]) -> None:
    last = first + timedelta(days=min(length, (date.max - first).days))
    pieces = split_at(Days(first, last), sorted(set(cuts)))
    assert pieces[0].first == first
    assert pieces[-1].last == last
    assert all(piece.first <= piece.last for piece in pieces)
    assert all(before.last + timedelta(days=1) == after.first for before, after in itertools.pairwise(pieces))
    assert {piece.first for piece in pieces[1:]} == {cut for cut in cuts if first < cut <= last}


@pytest.mark.parametrize(
    ("first", "last", "before", "months", "after"),
    [
        ("2026-10-01", "2026-10-31", None, ("2026-10-01", "2026-10-01"), None),
        ("2026-10-01", "2026-10-30", ("2026-10-01", "2026-10-30"), None, None),
        ("2026-10-02", "2026-11-29", ("2026-10-02", "2026-11-29"), None, None),
        ("2026-09-30", "2026-12-01", ("2026-09-30", "2026-09-30"), ("2026-10-01", "2026-11-01"), ("2026-12-01", "2026-12-01")),
        ("2028-02-01", "2028-02-29", None, ("2028-02-01", "2028-02-01"), None),
        ("0001-01-01", "9999-12-31", None, ("0001-01-01", "9999-12-01"), None),
    ],
)  # fmt: skip
def test_days_are_whole_months_and_what_is_left(first: str, last: str, before: Any, months: Any, after: Any) -> None:
    expected = Grains(*(days and Days(*map(date.fromisoformat, days)) for days in (before, months, after)))
    assert by_grain(Days(date.fromisoformat(first), date.fromisoformat(last))) == expected


@given(st.dates(date(1999, 1, 1), date(2029, 1, 1)), st.integers(0, 150))
def test_the_grains_of_a_range_hold_each_of_its_days_once(first: date, length: int) -> None:
    days = Days(first, first + timedelta(days=length))
    before, months, after = by_grain(days)
    parts = [part for part in (before, months and Days(months.first, month_of(months.last).last), after) if part]
    held = [part.first + timedelta(days=n) for part in parts for n in range((part.last - part.first).days + 1)]
    assert held == [first + timedelta(days=n) for n in range(length + 1)]
    assert months is None or (months.first.day, months.last.day) == (1, 1)


@given(st.dates(), st.integers(0, 400))
def test_a_range_widened_to_months_consists_of_them(first: date, length: int) -> None:
    days = Days(first, first + timedelta(days=min(length, (date.max - first).days)))
    wide = with_whole_months(days)
    assert by_grain(wide) == Grains(None, Days(wide.first, wide.last.replace(day=1)), None)
    assert (wide.first.month, wide.last.month) == (days.first.month, days.last.month)


@pytest.mark.parametrize(
    ("first", "last", "are_months", "before"),
    [
        ("2026-11-01", "2026-11-30", True, ("2026-10-01", "2026-10-31")),
        ("2026-11-01", "2026-11-30", False, ("2026-10-02", "2026-10-31")),
        ("2026-01-01", "2026-03-31", True, ("2025-10-01", "2025-12-31")),
        ("2026-03-01", "2026-03-01", False, ("2026-02-28", "2026-02-28")),
        ("0001-01-01", "0001-01-31", True, None),
        ("0001-01-05", "0001-01-10", False, None),
        ("0001-02-01", "9999-12-31", True, None),
    ],
)
def test_the_previous_range_is_as_long_and_ends_the_day_before(
    first: str, last: str, are_months: bool, before: tuple[str, str] | None
) -> None:
    days = Days(date.fromisoformat(first), date.fromisoformat(last))
    expected = before and Days(*map(date.fromisoformat, before))
    assert previous_days(days, are_months=are_months) == expected


@given(st.dates(date(1990, 1, 1), date(2030, 1, 1)), st.integers(0, 400))
def test_previous_months_are_as_many_whole_months(first: date, length: int) -> None:
    days = with_whole_months(Days(first, first + timedelta(days=length)))
    before = previous_days(days, are_months=True)
    assert before is not None
    assert (before, before.last + timedelta(days=1)) == (with_whole_months(before), days.first)
    count = [(end.year - begin.year) * 12 + end.month - begin.month for begin, end in (days, before)]
    assert count[0] == count[1]


def test_the_period_before_is_the_last_that_had_ended() -> None:
    first, second = period(date(2026, 1, 1), date(2026, 2, 1)), period(date(2026, 2, 1), date(2026, 3, 1))
    later = period(date(2026, 5, 1), date(2026, 6, 1))
    assert [period_before([later, first, second], one) for one in (first, second, later)] == [None, first, second]


def test_a_span_of_days_ends_the_day_after() -> None:
    assert span_of(Days(date(2026, 1, 1), date(2026, 1, 31))) == Span(date(2026, 1, 1), date(2026, 2, 1))
    assert span_of(Days(date.min, date.max)) == ALL_TIME
