"""Rates quantities of columns. Pure."""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from flexcredits_schemas.rating.card import Rate, RateCard, Stretches, Timeline, first_of
from numpy.typing import NDArray

from aggregator.domain.columns.heads import Heads
from aggregator.domain.columns.usage_columns import UsageColumns

Array = NDArray[np.int64]
NO_RATE = -1
_UNKNOWN = -1
_EXACT_MAX = 2**62
"""Products below this are exact in 64 bits, and so are twice their remainders."""


class Rated(NamedTuple):
    """By row: micro-credits, or -1 if the exact path must decide; and the number of the rate, NO_RATE for credits."""

    credits: Array
    rate_id: Array


class HeadRates:
    """The stretches of heads, until the rate card changes. Most heads share theirs with many others."""

    def __init__(self) -> None:
        self.stretches: list[Stretches] = []
        """By the numbers that of() returns."""
        self._numbers: dict[int, int] = {}
        """By the id of the stretches, which the card shares and this object keeps."""
        self._of_head: Array = np.zeros(0, np.int64)
        self._catalog: Hashable = None

    def of(self, head: NDArray[np.int32], heads: Heads, card: RateCard, catalog: Hashable) -> Array:
        """The numbers of the stretches of these heads, which have units. `catalog` is the state of the card."""
        if catalog != self._catalog:
            self.stretches, self._numbers, self._of_head, self._catalog = [], {}, np.zeros(0, np.int64), catalog
        if more := len(heads) - len(self._of_head):
            self._of_head = np.concatenate([self._of_head, np.full(more, _UNKNOWN)])
        for number in np.unique(head[self._of_head[head] == _UNKNOWN]).tolist():
            organization, product, kind, feature, _, _ = heads.series[number]
            unit = heads.units[number]
            assert unit is not None
            found = card.stretches_of(organization, product, kind, feature, unit)
            self._of_head[number] = self._numbers.setdefault(id(found), len(self._numbers))
            if len(self._numbers) > len(self.stretches):
                self.stretches.append(found)
        return self._of_head[head]


def rate_columns(
    columns: UsageColumns, is_rated: NDArray[np.bool_], card: RateCard, known: HeadRates, catalog: Hashable
) -> Rated:
    """Micro-credits of each row, as Rate.credits_of gives them."""
    credits, rate_id = columns.amount.copy(), np.full(len(columns), NO_RATE, np.int64)
    rated = np.flatnonzero(is_rated)
    number = known.of(columns.head[rated], columns.heads, card, catalog)
    for each, of_each in _split(rated, number):
        occurred = columns.occurred_us[of_each] / 1e6
        for rate, rows in _split_by_rate(known.stretches[each].timelines, of_each, occurred):
            quantity = columns.amount[rows]
            if rate is None or rate.per >= _EXACT_MAX:
                credits[rows] = -1
                continue
            is_exact = quantity <= (_EXACT_MAX - 1) // max(1, rate.credits)
            credits[rows[~is_exact]] = -1
            rows, quantity = rows[is_exact], quantity[is_exact]
            credits[rows], rate_id[rows] = _round_half_even(quantity * rate.credits, rate.per), rate.rate_id
    return Rated(credits, rate_id)


def _split(rows: NDArray[np.intp], number: Array) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """The rows of each distinct number."""
    if len(rows):
        order = np.argsort(number, kind="stable")
        starts = np.flatnonzero(np.diff(number[order], prepend=-1))
        yield from zip(number[order][starts].tolist(), np.split(rows[order], starts[1:]), strict=True)


def _split_by_rate(
    timelines: Sequence[Timeline], rows: NDArray[np.intp], occurred: NDArray[np.float64], first: Rate | None = None
) -> Iterator[tuple[Rate | None, NDArray[np.intp]]]:
    """The rows of each rate, as Stretches.at() gives it. A rate may come more than once."""
    if not timelines:
        yield first, rows
        return
    timeline, *others = timelines
    at = np.searchsorted(timeline.ends, occurred, side="right")
    for number, some in _split(np.arange(len(rows)), at):
        rate = timeline.in_force[number]
        if rate is not None:
            yield rate, rows[some]
        else:
            yield from _split_by_rate(others, rows[some], occurred[some], first_of(first, timeline.first[number]))


def _round_half_even(numerator: Array, denominator: int) -> Array:
    """round_half_even() of each; numerators are not negative."""
    whole, rest = np.divmod(numerator, denominator)
    rounded: Array = whole + ((2 * rest > denominator) | ((2 * rest == denominator) & (whole % 2 == 1)))
    return rounded
