"""Divides the lines of a reconciliation among rows, such that the parts add up to each line exactly. Pure."""

from collections.abc import Sequence
from typing import NamedTuple


class Part(NamedTuple):
    """A row's part of the lines: micro-credits, and millionths of the currency (None: unknown)."""

    credits: int
    within_available: int
    overage: int
    amount: int | None


def divide_lines(credits: Sequence[int], overage: int, due: int | None) -> list[Part]:
    """`credits` of the rows add up to the feature total. Overage and the amount due are divided in proportion to them: credits
    are bought for all, so whose use came last does not decide who pays more. Without use, there is no proportion and no amount.
    """
    total = sum(credits)
    if total <= 0:
        return [Part(own, own, 0, None) for own in credits]
    over = allot(overage, credits)
    amounts = [None] * len(credits) if due is None else allot(due, credits)
    return [Part(own, own - more, more, amount) for own, more, amount in zip(credits, over, amounts, strict=True)]


def allot(amount: int, weights: Sequence[int]) -> list[int]:
    """Parts in proportion to the weights, whose sum is positive. Each is rounded down or up (largest remainder, else the
    first)."""
    total = sum(weights)
    parts = [amount * weight // total for weight in weights]
    missing = amount - sum(parts)
    by_remainder = sorted(range(len(weights)), key=lambda at: -(amount * weights[at] % total))
    for at in by_remainder[:missing]:
        parts[at] += 1
    return parts
