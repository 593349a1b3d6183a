"""The list price of a feature in two ranges of days. Pure.

Quantities are not in the rollups, so a price is compared with the credits that it produced: a quantity is credits / price.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from flexcredits_schemas.rating.card import RateCard

OWN = "own"
"""The organization, in the rate card of its session."""


class PriceChange(NamedTuple):
    """Average prices of a feature's unit in the earlier and in the later range, as multiples of one price."""

    before: Fraction
    now: Fraction


UNCHANGED = PriceChange(Fraction(1), Fraction(1))


class Piece(NamedTuple):
    """A piece of a range: its length in seconds, credits of the feature in it, and its average price by unit."""

    seconds: int
    credits: int
    prices: Mapping[str, Fraction]


def find_instants(
    card: RateCard, feature: tuple[str, str, str], units: Sequence[str], begin: float, end: float
) -> list[float]:
    """The times after `begin` and before `end` at which a price of the feature changes, ascending."""
    found = set[float]()
    for unit in units:
        times = [begin, *(time for time in card.changes_of(OWN, *feature, unit) if begin < time < end)]
        prices = [price_at(card, feature, unit, time) for time in times]
        found |= {time for time, before, price in zip(times[1:], prices, prices[1:], strict=False) if before != price}
    return sorted(found)


def price_at(card: RateCard, feature: tuple[str, str, str], unit: str, at: float) -> Fraction | None:
    rate = card.rate_at(OWN, *feature, unit, at)
    return None if rate is None else Fraction(rate.credits, rate.per)


def average_prices(
    card: RateCard, feature: tuple[str, str, str], units: Sequence[str], begin: float, end: float
) -> dict[str, Fraction]:
    """Prices of the units between two instants, averaged over time. A unit without a price at some time is left out."""
    found: dict[str, Fraction] = {}
    for unit in units:
        times = [begin, *(time for time in card.changes_of(OWN, *feature, unit) if begin < time < end), end]
        total = Fraction(0)
        for since, until in pairwise(times):
            price = price_at(card, feature, unit, since)
            if price is None:
                break
            total += price * (Fraction(until) - Fraction(since))
        else:
            found[unit] = total / (Fraction(end) - Fraction(begin))
    return found


def compare_prices(before: Sequence[Piece], now: Sequence[Piece]) -> PriceChange | None:
    """Of the units that have a price in all pieces; without one nothing changed. None if their prices did not change by one and
    the same factor: quantities by unit would be needed to say what the change cost."""
    pieces = [*before, *now]
    units = set.intersection(*(set(piece.prices) for piece in pieces))
    if not units:
        return UNCHANGED
    first = {unit: pieces[0].prices[unit] for unit in units}
    levels = [find_level({unit: piece.prices[unit] for unit in units}, first) for piece in pieces]
    known = [level for level in levels if level is not None]
    if len(known) < len(levels):
        return None
    return PriceChange(average(before, known[: len(before)]), average(now, known[len(before) :]))


def find_level(prices: Mapping[str, Fraction], first: Mapping[str, Fraction]) -> Fraction | None:
    """The prices as a multiple of the first ones; of a single unit its price. None if each unit has another multiple."""
    if len(prices) == 1:
        [price] = prices.values()
        return price
    level: Fraction | None = None
    for unit, price in prices.items():
        if not first[unit]:
            if price:
                return None
            continue
        multiple = price / first[unit]
        if level is not None and multiple != level:
            return None
        level = multiple
    return Fraction(1) if level is None else level


def average(pieces: Sequence[Piece], levels: Sequence[Fraction]) -> Fraction:
    """Credits divided by the quantities that they paid for; averaged over time if some were free, or there are none."""
    credits = sum(piece.credits for piece in pieces)
    if credits > 0 and all(levels) and all(piece.credits >= 0 for piece in pieces):
        quantity = sum((piece.credits / level for piece, level in zip(pieces, levels, strict=True)), Fraction(0))
        return credits / quantity
    total = sum((piece.seconds * level for piece, level in zip(pieces, levels, strict=True)), Fraction(0))
    return total / sum(piece.seconds for piece in pieces)
