"""What was used of what the contract gives: remaining, overage and percent, in micro-credits. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from query_api.periods import PRODUCTS, CreditPeriod


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
        remaining=None if available is None else max(0, available - total),
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


def percent(used: int, available: int | None) -> Decimal | None:
    """Percent with two places, rounded down: 99.999 is not 100 yet. May exceed 100; None without contracted credits."""
    return Decimal(used * 10_000 // available).scaleb(-2) if available else None
