"""What was used of what the contract gives: remaining, overage and percent, in micro-credits. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from flexcredits_schemas.events import PRODUCTS

from query_api.calendar import months_left
from query_api.contracts.domain.periods import CreditPeriod, PeriodKey, period_on


class ProductUsage(NamedTuple):
    product: str
    used: int
    contracted: int | None
    overage: int | None  # None where nothing is contracted for this product alone


class Standing(NamedTuple):
    """How an organization stands in a credit period, or outside of any."""

    used: int
    available: int | None
    remaining: int | None
    overage: int
    percent_used: Decimal | None
    products: list[ProductUsage]

    @property
    def is_over(self) -> bool:
        """Whether anything was used beyond what is available, or beyond a product's own amount."""
        return self.overage > 0 or any(product.overage for product in self.products)


class MonthlyBudget(NamedTuple):
    """Micro-credits to spend in a calendar month so that the remaining ones last until the credit period ends."""

    credits: int
    remaining_credits: int
    remaining_months: int


def standing(period: CreditPeriod | None, used: Mapping[str, int]) -> Standing:
    """Compare micro-credits `used` by product with what `period` gives.

    Without contracted credits there is no percentage, and all usage is overage.
    """
    total = sum(used.values())
    available = period.available if period else None
    amounts = period.products if period else (None, None, None)
    return Standing(
        used=total,
        available=available,
        remaining=None if available is None else min(available, max(0, available - total)),
        overage=max(0, total - (available or 0)),
        percent_used=percent(total, available),
        products=[
            ProductUsage(
                product,
                used.get(product, 0),
                contracted,
                None if contracted is None else max(0, used.get(product, 0) - contracted),
            )
            for product, contracted in zip(PRODUCTS, amounts, strict=True)
        ],
    )


def overage_by_day(used: Mapping[date, int], periods: Sequence[CreditPeriod]) -> dict[date, int]:
    """Micro-credits by which each day's usage moved its credit period further beyond what was available in it.

    `used` begins no later than the periods that matter. Negative where a correction took overage back. The days of a
    period, however a range cuts it, add up to the overage that the overview shows.
    """
    so_far: dict[PeriodKey, int] = {}
    overage = {}
    for day in sorted(used):
        period = period_on(periods, day)
        if period is None:
            continue  # no contract says what it costs
        before = so_far.get(period.key, 0)
        so_far[period.key] = after = before + used[day]
        available = period.available or 0
        if moved := max(0, after - available) - max(0, before - available):
            overage[day] = moved
    return overage


def recommend_budget(period: CreditPeriod | None, remaining: int | None, today: date) -> MonthlyBudget | None:
    """Remaining credits / remaining months of the period that has `today` in it, rounded down to the micro-credit."""
    if period is None or remaining is None or not period.span.has_end:
        return None  # without an end, there are no months to divide by
    months = months_left(period.span, today)
    return MonthlyBudget(remaining // months, remaining, months)


def percent(used: int, available: int | None) -> Decimal | None:
    """Percent with two places, cut, not rounded: 99.999 is not 100 yet, and -0.001 is 0. May exceed 100; None without
    contracted credits."""
    if not available:
        return None
    hundredths = abs(used) * 10_000 // available
    return Decimal(hundredths if used >= 0 else -hundredths).scaleb(-2)
