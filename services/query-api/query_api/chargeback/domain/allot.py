"""Divides the lines of a reconciliation among rows, such that the parts add up to each line exactly. Pure."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple


class Part(NamedTuple):
    """A row's part of the lines: micro-credits, and millionths of the currency (None: unknown)."""

    credits: int
    within_available: int
    overage: int
    amount: int | None


def divide_lines(credits: Sequence[int], overage: int, due: int | None) -> list[Part]:
    """`credits` of the rows add up to the feature total. Overage and the amount due are divided in proportion to them: credits
    are bought for all, so whose use came last does not decide who pays more. Who has used less than nothing pays nothing: beside
    them, others would pay many times what is due. Without use, there is no proportion and no amount.
    """
    total = sum(credits)
    if total <= 0:
        return [Part(own, own, 0, None) for own in credits]
    over = allot(overage, credits)
    amounts = [None] * len(credits) if due is None else allot(due, [max(0, own) for own in credits])
    return [Part(own, own - more, more, amount) for own, more, amount in zip(credits, over, amounts, strict=True)]


def add_parts(parts: Sequence[Part]) -> Part:
    amounts = [part.amount for part in parts if part.amount is not None]
    return Part(
        sum(part.credits for part in parts),
        sum(part.within_available for part in parts),
        sum(part.overage for part in parts),
        sum(amounts) if amounts else None,
    )


def allot(amount: int, weights: Sequence[int]) -> list[int]:
    """Parts in proportion to the weights, whose sum is positive. The sums of the first parts are rounded down, so each part is
    less than one away from its proportion."""
    total = sum(weights)
    ends = [amount * weight // total for weight in accumulate(weights)]
    return [end - begin for begin, end in pairwise([0, *ends])]
