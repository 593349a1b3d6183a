"""Projection of a series: what always holds, whatever was used."""

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime.forecast.model import Projection, Refusal, Series
from runtime.forecast.project import HORIZON_DAYS_MAX, foresee, pace_of_today, project, project_outlook

FIRST_DAY = date(2026, 3, 2)  # a Monday
CREDIT = 1_000_000
OFFICE = (1.0, 1.1, 1.1, 1.0, 0.9, 0.2, 0.1)


def usual(days: int = 100, daily: int = 1_000 * CREDIT, seed: int = 1) -> list[int | None]:
    """Weekdays and noise."""
    noise = np.random.default_rng(seed).lognormal(0, 0.1, days)
    return [round(daily * OFFICE[day % 7] * float(noise[day])) for day in range(days)]


def projected(series: Series, days: int = 60, remaining: int | None = None, used: int = 0, seed: int = 1) -> Projection:
    today = series.first_day + timedelta(days=len(series.micro))
    found = project(series, until=today + timedelta(days=days), used_micro=used, left_micro=remaining, seed=seed)
    assert isinstance(found, Projection)
    return found


def later(day: date | None) -> date:
    return day or date.max


SERIES = st.builds(
    lambda days, daily, seed: Series(FIRST_DAY, usual(days, daily, seed)),
    st.integers(14, 200), st.integers(1_000, 10**17), st.integers(0, 1000),
)  # fmt: skip
FEW = settings(max_examples=25, deadline=None)


@FEW
@given(SERIES, st.integers(1, 120), st.integers(0, 10**18), st.integers(0, 10**18))
def test_more_remaining_credits_never_run_out_earlier(series: Series, days: int, remaining: int, more: int) -> None:
    before, after = projected(series, days, remaining), projected(series, days, remaining + more)
    assert before.run_out is not None
    assert after.run_out is not None
    for one, other in zip(before.run_out, after.run_out, strict=True):
        assert later(one) <= later(other)
    assert before.probability_not_in_period is not None
    assert after.probability_not_in_period is not None
    assert before.probability_not_in_period <= after.probability_not_in_period
    assert before.end_use == after.end_use


@FEW
@given(SERIES, st.integers(1, 120), st.integers(0, 10**18))
def test_quantiles_are_in_order_and_the_band_never_falls(series: Series, days: int, remaining: int) -> None:
    found = projected(series, days, remaining)
    assert found.end_use.p10 <= found.end_use.p50 <= found.end_use.p90
    assert found.run_out is not None
    assert later(found.run_out.p10) <= later(found.run_out.p50) <= later(found.run_out.p90)
    assert found.expiring_unused is not None
    assert 0 <= found.expiring_unused.p10 <= found.expiring_unused.p50 <= found.expiring_unused.p90 <= remaining
    _, *lines = found.band
    assert all(len(line) == days for line in lines)
    assert all(low <= middle <= high for low, middle, high in zip(*lines, strict=True))
    assert all(before <= after for line in lines for before, after in pairwise(line))


@FEW
@given(SERIES, st.integers(1, 200), st.integers(0, 10**18), st.integers(0, 2**32))
def test_the_same_arguments_give_the_same_answer(series: Series, days: int, remaining: int, seed: int) -> None:
    assert projected(series, days, remaining, seed=seed) == projected(series, days, remaining, seed=seed)


@FEW
@given(st.integers(14, 120), st.integers(0, 1000), st.integers(1, 30), st.integers(1, 10**14))
def test_use_and_grants_that_are_larger_by_a_factor_give_the_same_dates(
    days: int, seed: int, power: int, remaining: int
) -> None:
    small = usual(days, CREDIT, seed)
    large: list[int | None] = [None if value is None else value << power for value in small]
    one, other = (
        projected(Series(FIRST_DAY, small), remaining=remaining),
        projected(Series(FIRST_DAY, large), remaining=remaining << power),
    )
    assert one.run_out == other.run_out
    for amount, larger in zip(one.end_use, other.end_use, strict=True):
        assert larger == pytest.approx(amount << power, rel=1e-6)


@FEW
@given(SERIES, st.integers(0, 10**18), st.integers(0, 10**18))
def test_what_was_used_is_added_to_the_micro_credit(series: Series, used: int, more: int) -> None:
    one, other = projected(series, used=used), projected(series, used=used + more)
    assert [later_amount - amount for amount, later_amount in zip(one.end_use, other.end_use, strict=True)] == [
        more
    ] * 3
    assert [later_amount - amount for amount, later_amount in zip(one.band.p50, other.band.p50, strict=True)] == [
        more
    ] * 60


def test_ten_to_the_twelve_credits_stay_exact() -> None:
    used = 10**18 + 7
    found = projected(Series(FIRST_DAY, [0] * 20 + [10**16] * 40), 30, remaining=10**18 + 3, used=used)
    assert found.end_use.p50 > used
    nothing = projected(Series(FIRST_DAY, [1] * 14, 0, 1.0), 1, remaining=10**18 + 3, used=used)
    assert nothing.end_use == (used, used, used)
    assert nothing.expiring_unused == (10**18 + 3,) * 3


def test_steady_use_runs_out_on_the_day_that_division_gives() -> None:
    found = projected(Series(FIRST_DAY, [100 * CREDIT] * 56), 90, remaining=3_050 * CREDIT)
    assert found.run_out is not None
    assert found.run_out.p50 == FIRST_DAY + timedelta(days=56 + 30)
    assert found.probability_not_in_period == 0
    assert found.expiring_unused == (0, 0, 0)


def test_weekends_shape_the_projection() -> None:
    weeks: list[int | None] = [round(share * 1_000 * CREDIT) for _ in range(8) for share in OFFICE]
    found = projected(Series(FIRST_DAY, weeks), 14)
    daily = np.diff([0, *found.band.p50])
    assert daily[5] < 0.3 * daily[4]
    assert daily[12] < 0.3 * daily[11]


def test_growth_continues_for_a_while() -> None:
    grown: list[int | None] = [round(1_000 * CREDIT * 1.01**day) for day in range(120)]
    flat = sum(value or 0 for value in grown[-28:])
    found = projected(Series(FIRST_DAY, grown), 28)
    assert 1.1 * flat < found.end_use.p50 < 1.01**28 * 1.05 * flat


def test_month_ends_are_expected_once_three_agree() -> None:
    first_day = date(2026, 1, 1)
    days = [first_day + timedelta(days=number) for number in range(120)]  # to 30 April
    micro: list[int | None] = [(3 if (day + timedelta(days=1)).day == 1 else 1) * 1_000 * CREDIT for day in days]
    found = projected(Series(first_day, micro), 31)
    daily = np.diff([0, *found.band.p50])  # from 1 May
    assert daily[30] == pytest.approx(3 * float(np.median(daily)), rel=0.15)


@pytest.mark.parametrize("rest", [0, 300 * CREDIT])
def test_a_day_of_the_month_without_use_divides_nothing(rest: int) -> None:
    """The first of each month is unused, or was in all months but one."""
    micro = usual()
    unused = [at for at in range(len(micro)) if (FIRST_DAY + timedelta(days=at)).day == 1]
    for at in unused:
        micro[at] = 0
    micro[unused[-1]] = rest
    end = projected(Series(FIRST_DAY, micro)).end_use
    days = [amount or 0 for amount in micro]
    assert end.p50 == pytest.approx(sum(days) / len(days) * 60, rel=0.15)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.3, 0.6, 0.9]), st.integers(14, 280))
def test_use_on_some_days_only_is_projected(seed: int, share: float, days: int) -> None:
    rng = np.random.default_rng(seed)
    amounts = np.where(rng.random(days) < share, rng.lognormal(20, 0.5, days), 0)
    amounts[0] = 10**9
    end = projected(Series(FIRST_DAY, [int(amount) for amount in amounts]), remaining=10**10).end_use
    assert 0 <= end.p10 <= end.p50 <= end.p90


def test_without_grants_there_is_no_run_out() -> None:
    found = projected(Series(FIRST_DAY, usual()))
    assert (found.run_out, found.probability_not_in_period, found.expiring_unused) == (None, None, None)


def test_nothing_left_has_run_out_today() -> None:
    found = projected(Series(FIRST_DAY, usual()), remaining=0)
    today = FIRST_DAY + timedelta(days=100)
    assert found.run_out == (today, today, today)


def test_an_unused_organization_keeps_its_credits() -> None:
    found = projected(Series(FIRST_DAY, [CREDIT] + [0] * 60), remaining=10 * CREDIT)
    assert found.run_out == (None, None, None)
    assert found.probability_not_in_period == 1


@pytest.mark.parametrize(
    ("micro", "reason"),
    [
        ([CREDIT] * 13, "too_few_days"),
        ([0] * 100 + [CREDIT] * 13, "too_few_days"),  # days before the first use say nothing
        ([], "too_few_days"),
        ([0] * 50, "too_few_days"),
        ([CREDIT] * 20 + [None] + [CREDIT] * 20, "days_missing"),
    ],
)
def test_too_little_is_refused_with_the_reason(micro: list[int | None], reason: str) -> None:
    found = project(Series(FIRST_DAY, micro), until=date(2027, 1, 1), used_micro=0)
    assert isinstance(found, Refusal)
    assert found.reason == reason
    if reason == "days_missing":
        assert "2026-03-22" in found.detail


def test_a_past_period_is_refused() -> None:
    found = project(Series(FIRST_DAY, usual()), until=FIRST_DAY + timedelta(days=100), used_micro=0)
    assert isinstance(found, Refusal)
    assert found.reason == "period_over"


def test_coverage_is_stated_once_enough_past_days_were_projected() -> None:
    assert projected(Series(FIRST_DAY, usual(30))).coverage is None
    for seed in range(5):
        coverage = projected(Series(FIRST_DAY, usual(150, seed=seed))).coverage
        assert coverage is not None
        assert 0.75 <= coverage <= 0.86


@given(st.floats(0, 1), st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_larger_part_of_today_is_never_followed_by_less(elapsed: float, so_far: float, more: float) -> None:
    assert 0 <= pace_of_today(so_far, elapsed) <= pace_of_today(so_far + more, elapsed)


@pytest.mark.parametrize(("elapsed", "rest"), [(0.0, 100), (0.5, 25 + 40), (1.0, 0)])
def test_today_moves_from_what_is_projected_to_its_own_pace(elapsed: float, rest: int) -> None:
    """80 credits so far; 100 are projected for the day."""
    found = projected(Series(FIRST_DAY, [100 * CREDIT] * 56, 80 * CREDIT if elapsed else 0, elapsed), 1)
    assert found.end_use == (rest * CREDIT,) * 3


def test_an_outlook_answers_all_day_whatever_today_has_used() -> None:
    micro, until = usual(), FIRST_DAY + timedelta(days=160)
    outlook = foresee(FIRST_DAY, micro, until=until, elapsed=0.25, seed=1)
    assert not isinstance(outlook, Refusal)
    for so_far in (0, 700 * CREDIT):
        whole = project(
            Series(FIRST_DAY, micro, so_far, 0.25), until=until, used_micro=so_far, left_micro=5 * 10**10, seed=1
        )
        assert project_outlook(outlook, so_far, so_far, 5 * 10**10) == whole


@FEW
@given(SERIES, st.integers(1, 120), st.integers(0, 10**18))
def test_credits_run_out_where_the_band_reaches_what_is_left(series: Series, days: int, remaining: int) -> None:
    found = projected(series, days, remaining)
    assert found.run_out is not None
    lines = (found.band.p90, found.band.p50, found.band.p10)
    for day, line in zip(found.run_out, lines, strict=True):
        reached = [place for place, value in enumerate(line) if value >= remaining]
        assert day == (found.band.first_day + timedelta(days=reached[0]) if reached else None)
    assert found.probability_not_in_period is not None
    assert (found.run_out.p50 is None) == (found.probability_not_in_period >= 0.5)
    assert found.expiring_unused == tuple(max(0, remaining - line[-1]) for line in lines)


def test_a_period_that_ends_far_away_is_projected_for_three_years_only() -> None:
    found = projected(Series(FIRST_DAY, usual()), HORIZON_DAYS_MAX + 1, remaining=10**18)
    assert len(found.band.p50) == HORIZON_DAYS_MAX
    assert found.probability_not_in_period == 1  # within these days
    assert found.expiring_unused is None  # not known: they expire later


@pytest.mark.parametrize("quiet", [[CREDIT] + [0] * 20, [CREDIT] * 60])
def test_quiet_days_at_the_beginning_are_no_use(quiet: list[int | None]) -> None:
    """A trial by few people says nothing about what follows."""
    busy: list[int | None] = [1_000 * CREDIT] * 13
    refused = project(Series(FIRST_DAY, quiet + busy), until=date(2027, 1, 1), used_micro=0)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.detail[-3:]) == ("too_few_days", "13.")
    [later_on, alone] = [projected(Series(FIRST_DAY, days + busy * 3)) for days in (quiet, [])]
    assert later_on.end_use == pytest.approx(alone.end_use, rel=1e-6)
