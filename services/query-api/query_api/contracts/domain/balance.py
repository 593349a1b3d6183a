"""Usage compared with contracted credits: remaining, overage and percent, in micro-credits. Pure."""

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
    overage: int | None  # None if the contract has no amount for this product


class PeriodState(NamedTuple):
    """Usage and available credits in a credit period, or between two."""

    used: int
    available: int | None
    remaining: int | None
    overage: int
    percent_used: Decimal | None
    products: list[ProductUsage]

    @property
    def is_over(self) -> bool:
        """Whether usage exceeds the available credits, or the contracted amount of a product."""
        return self.overage > 0 or any(product.overage for product in self.products)


class MonthlyBudget(NamedTuple):
    """Micro-credits per calendar month that make the remaining ones last until the credit period ends."""

    credits: int
    remaining_credits: int
    remaining_months: int


def period_state(period: CreditPeriod | None, used: Mapping[str, int]) -> PeriodState:
    """Compare `used` micro-credits by product with the amounts of `period`.

    Without contracted credits `percent_used` is None and all usage is overage.
    """
    total = sum(used.values())
    available = period.available if period else None
    amounts = period.products if period else (None, None, None)
    return PeriodState(
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
    """Micro-credits by which each day's usage increased the overage of its credit period.

    `used` must begin no later than the first relevant period. Negative when a correction reduced the overage. All days of a
    period add up to the overage that the overview shows.
    """
    so_far: dict[PeriodKey, int] = {}
    overage = {}
    for day in sorted(used):
        period = period_on(periods, day)
        if period is None:
            continue  # no contract, so no price
        before = so_far.get(period.key, 0)
        so_far[period.key] = after = before + used[day]
        available = period.available or 0
        if moved := max(0, after - available) - max(0, before - available):
            overage[day] = moved
    return overage


def recommend_budget(period: CreditPeriod | None, remaining: int | None, today: date) -> MonthlyBudget | None:
    """Remaining credits divided by remaining months of the current period, rounded down to the micro-credit."""
    if period is None or remaining is None or not period.span.has_end:
        return None  # a period without an end has no number of months
    months = months_left(period.span, today)
    return MonthlyBudget(remaining // months, remaining, months)


def percent(used: int, available: int | None) -> Decimal | None:
    """Percent, truncated to two places: 99.999 becomes 99.99, -0.001 becomes 0. May exceed 100. None without contracted
    credits."""
    if not available:
        return None
    hundredths = abs(used) * 10_000 // available
    return Decimal(hundredths if used >= 0 else -hundredths).scaleb(-2)
