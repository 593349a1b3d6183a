"""Credits of usage with several quantities, for aggregator and receipts. Pure.

Quantities and credits are in millionths.
"""

from collections.abc import Iterable, Mapping
from math import lcm
from typing import NamedTuple

from flexcredits_schemas.credits import round_half_even


class Price(NamedTuple):
    """What a rate says of its unit: `credits` per `per` units, and the unit that includes it."""

    credits: int
    per: int
    part_of: str | None


class PartAboveWhole(ValueError):
    """The parts of a unit add up to more than the unit."""

    def __init__(self, whole: str, parts: str) -> None:
        super().__init__(f"{parts}, which {whole!r} includes, is more than {whole!r} itself")
        self.whole = whole


def charged_quantities(quantities: Mapping[str, int], prices: Mapping[str, Price]) -> dict[str, int]:
    """What is charged of each unit: a unit that includes others of the event is reduced by their quantities.

    If `a` is part of `b` and `b` part of `c`, `b` is reduced by `a`, and `c` by all of `b`. Raises PartAboveWhole.
    """
    charged = dict(quantities)
    for unit in quantities:
        whole = prices[unit].part_of
        if whole in charged:
            charged[whole] -= quantities[unit]
    for whole, rest in charged.items():
        if rest < 0:
            parts = [unit for unit in quantities if prices[unit].part_of == whole]
            raise PartAboveWhole(whole, " + ".join(map(repr, parts)))
    return charged


def credits_of_quantities(quantities: Mapping[str, int], prices: Mapping[str, Price]) -> int:
    """Micro-credits: the sum over units of charged quantity times price, rounded half to even, once.

    Raises PartAboveWhole.
    """
    charged = charged_quantities(quantities, prices)
    return round_sum((charged[unit] * prices[unit].credits, prices[unit].per) for unit in quantities)


def round_sum(fractions: Iterable[tuple[int, int]]) -> int:
    """The sum of numerator / denominator, rounded half to even, exact at any size."""
    fractions = list(fractions)
    denominator = lcm(*(below for _, below in fractions))
    return round_half_even(sum(above * (denominator // below) for above, below in fractions), denominator)
