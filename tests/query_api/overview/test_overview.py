"""Used, remaining, overage and percent."""

from datetime import date
from decimal import Decimal

import pytest
from flexcredits_schemas.credits import decimal_text
from hypothesis import given
from hypothesis import strategies as st
from query_api.calendar import Span
from query_api.contracts.domain.balance import percent, period_state, recommend_budget
from query_api.contracts.domain.periods import CreditPeriod

MONTH = Span(date(2026, 11, 1), date(2026, 12, 1))


def test_usage_within_the_contract() -> None:
    period = CreditPeriod("c", "p", MONTH, None, (100, 50, None), None)
    now = period_state(period, {"assistant": 60, "agents": 10, "api": 5})
    assert (now.used, now.available, now.remaining, now.overage, now.percent_used) == (75, 150, 75, 0, Decimal("50.00"))
    assert [tuple(product) for product in now.products] == [
        ("assistant", 60, 100, 0),
        ("agents", 10, 50, 0),
        ("api", 5, None, None),
    ]


def test_a_product_can_be_over_while_the_organization_is_not() -> None:
    now = period_state(
        CreditPeriod("c", "p", MONTH, None, (100, 50, 0), None), {"assistant": 1, "agents": 51, "api": 3}
    )
    assert now.overage == 0
    assert [product.overage for product in now.products] == [0, 1, 3]


def test_overage_leaves_nothing_and_is_not_clamped_to_100_percent() -> None:
    now = period_state(CreditPeriod("c", "p", MONTH, 400, (None, None, None), None), {"assistant": 413})
    assert (now.remaining, now.overage, now.percent_used) == (0, 13, Decimal("103.25"))


def test_what_remains_is_never_more_than_there_is() -> None:
    """Corrections may exceed the usage: then 10 of 10 credits remain, not 11."""
    now = period_state(CreditPeriod("c", "p", MONTH, 10, (None, None, None), None), {"assistant": -1})
    assert (now.used, now.remaining, now.overage, now.percent_used) == (-1, 10, 0, Decimal("-10.00"))


@pytest.mark.parametrize("period", [None, CreditPeriod("c", "p", MONTH, None, (None, None, None), None)])
def test_without_contracted_credits_usage_is_overage_and_no_percentage(period: CreditPeriod | None) -> None:
    now = period_state(period, {"assistant": 7})
    assert (now.used, now.available, now.remaining, now.overage, now.percent_used) == (7, None, None, 7, None)


def test_a_contract_over_nothing_has_no_percentage() -> None:
    now = period_state(CreditPeriod("c", "p", MONTH, 0, (None, None, None), None), {"assistant": 7})
    assert (now.available, now.remaining, now.overage, now.percent_used) == (0, 0, 7, None)


@pytest.mark.parametrize(
    ("products", "used", "is_over"),
    [
        ((100, 50, None), {"assistant": 100, "agents": 50}, False),
        ((100, 50, None), {"agents": 51}, True),  # the product is over, the organization is not
        ((100, None, None), {"agents": 100}, False),
        ((100, None, None), {"agents": 101}, True),
        ((None, None, None), {"api": 1}, True),
    ],
)
def test_over_is_the_organization_or_a_product(
    products: tuple[int | None, int | None, int | None], used: dict[str, int], is_over: bool
) -> None:
    assert period_state(CreditPeriod("c", "p", MONTH, None, products, None), used).is_over is is_over


@pytest.mark.parametrize(
    ("total", "products", "unallocated"),
    [
        (400, (100, 50, None), 250),
        (150, (100, 50, None), 0),
        (None, (100, 50, None), 0),
        (400, (None,) * 3, 400),
        (None, (None,) * 3, None),
    ],
)
def test_unallocated_is_what_the_total_has_more_than_the_products(
    total: int | None, products: tuple[int | None, int | None, int | None], unallocated: int | None
) -> None:
    assert CreditPeriod("c", "p", MONTH, total, products, 7).unallocated == unallocated


YEAR = Span(date(2026, 2, 15), date(2027, 2, 15))


@pytest.mark.parametrize(
    ("span", "today", "months"),
    [
        (YEAR, "2026-02-15", 13),  # from one February into the next
        (YEAR, "2026-12-31", 3),
        (YEAR, "2027-01-31", 2),
        (YEAR, "2027-02-01", 1),
        (YEAR, "2027-02-14", 1),  # the last day
        (MONTH, "2026-11-01", 1),
        (MONTH, "2026-11-30", 1),
        (Span(date(2026, 11, 30), date(2026, 12, 2)), "2026-11-30", 2),
    ],
)
def test_recommended_budget_spreads_the_rest_over_the_calendar_months_left(span: Span, today: str, months: int) -> None:
    period = CreditPeriod("c", "p", span, None, (None, None, None), None)
    assert recommend_budget(period, 100, date.fromisoformat(today)) == (100 // months, 100, months)


def test_with_overage_the_recommended_budget_is_zero() -> None:
    period = CreditPeriod("c", "p", YEAR, 400, (None, None, None), None)
    assert recommend_budget(period, period_state(period, {"api": 401}).remaining, date(2026, 11, 22)) == (0, 0, 4)


@pytest.mark.parametrize("period", [None, CreditPeriod("c", "p", MONTH, None, (None, None, None), None)])
def test_without_contracted_credits_no_budget_is_recommended(period: CreditPeriod | None) -> None:
    assert recommend_budget(period, period_state(period, {}).remaining, date(2026, 11, 22)) is None


@given(st.integers(0, 10**20), st.dates(date(2026, 2, 15), date(2027, 2, 14)))
def test_recommended_budget_is_the_most_that_lasts_in_whole_micro_credits(remaining: int, today: date) -> None:
    budget = recommend_budget(CreditPeriod("c", "p", YEAR, 1, (None, None, None), None), remaining, today)
    assert budget is not None
    assert budget.credits * budget.remaining_months <= remaining < (budget.credits + 1) * budget.remaining_months
    months = {
        (day.year, day.month) for day in map(date.fromordinal, range(today.toordinal(), YEAR.ends_on.toordinal()))
    }
    assert budget.remaining_months == len(months)


@pytest.mark.parametrize(
    ("used", "available", "text"),
    [
        (99_999, 100_000, "99.99"),
        (100_000, 100_000, "100.00"),
        (0, 1, "0.00"),
        (1, 3, "33.33"),
        (-1, 3, "-33.33"),
        (-46, 10_000, "-0.46"),
        (-1, 100_000, "0.00"),
    ],
)
def test_percent_is_cut(used: int, available: int, text: str) -> None:
    assert str(percent(used, available)) == text


@given(st.integers(0, 10**20), st.integers(1, 10**20))
def test_percent_is_a_plain_decimal_below_the_exact_value(used: int, available: int) -> None:
    text = str(percent(used, available))
    assert "E" not in text
    assert len(text.partition(".")[2]) == 2
    assert Decimal(text) * available <= used * 100 < (Decimal(text) + Decimal("0.01")) * available


@given(st.integers(-(10**20), 10**20))
def test_credits_are_plain_decimals_with_six_places(micro_credits: int) -> None:
    text = decimal_text(micro_credits)
    assert len(text.partition(".")[2]) == 6
    assert int(text.replace(".", "")) == micro_credits
