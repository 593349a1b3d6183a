"""Rates quantities of columns. Pure."""

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aggregator.domain.columns.heads import Heads
from aggregator.domain.columns.usage_columns import UsageColumns
from aggregator.domain.rating import Rate, RateCard

Array = NDArray[np.int64]
NO_RATE = -1
_EXACT_MAX = 2**62
"""Products below this are exact in 64 bits, and so are twice their remainders."""


class Rated(NamedTuple):
    """By row: micro-credits, or -1 if the exact path must decide; and the number of the rate, NO_RATE for credits."""

    credits: Array
    rate_id: Array


class Stretches(NamedTuple):
    """The rates of a head: `rates[n]` is in force before `ends[n]` (seconds since 1970) and from the end before it on."""

    ends: NDArray[np.float64]
    rates: list[Rate | None]


class HeadRates:
    """The stretches of heads, until the rate card changes."""

    def __init__(self) -> None:
        self._stretches: dict[int, Stretches] = {}
        self._catalog: Hashable = None

    def of(self, number: int, heads: Heads, card: RateCard, catalog: Hashable) -> Stretches:
        """The stretches of a head with a unit. `catalog` is the state of the card."""
        if catalog != self._catalog:
            self._stretches, self._catalog = {}, catalog
        found = self._stretches.get(number)
        if found is None:
            organization, product, kind, feature, _, _ = heads.series[number]
            unit = heads.units[number]
            assert unit is not None
            key = organization, product, kind, feature, unit
            ends = card.changes_of(*key)
            # The rate is constant between two changes, so the beginning of a stretch shows it.
            rates = [card.rate_at(*key, occurred) for occurred in (float("-inf"), *ends)]
            found = self._stretches[number] = Stretches(np.array(ends, np.float64), rates)
        return found


def rate_columns(
    columns: UsageColumns, is_rated: NDArray[np.bool_], card: RateCard, known: HeadRates, catalog: Hashable
) -> Rated:
    """Micro-credits of each row, as Rate.credits_of gives them."""
    credits, rate_id = columns.amount.copy(), np.full(len(columns), NO_RATE, np.int64)
    rated = np.flatnonzero(is_rated)
    head = columns.head[rated]
    for number in np.unique(head).tolist():
        rows = rated[head == number]
        ends, rates = known.of(number, columns.heads, card, catalog)
        stretch = np.searchsorted(ends, columns.occurred_us[rows] / 1e6, side="right")
        for at in np.unique(stretch).tolist():
            some, rate = rows[stretch == at], rates[at]
            quantity = columns.amount[some]
            if rate is None or rate.credits * int(quantity.max()) >= _EXACT_MAX or rate.per >= _EXACT_MAX:
                credits[some] = -1
            else:
                credits[some], rate_id[some] = _round_half_even(quantity * rate.credits, rate.per), rate.rate_id
    return Rated(credits, rate_id)


def _round_half_even(numerator: Array, denominator: int) -> Array:
    """round_half_even() of each; numerators are not negative."""
    whole, rest = np.divmod(numerator, denominator)
    rounded: Array = whole + ((2 * rest > denominator) | ((2 * rest == denominator) & (whole % 2 == 1)))
    return rounded
