"""Prices of a contract by day: as charged (known on that day) and as known now, and the corrections between the two.

Files of past months keep their prices. If a contract version changes prices of days before it was received, corrections are
added in the month in which it was received.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from operator import attrgetter
from typing import NamedTuple

from query_api.calendar import Days, Span, split_at
from query_api.contracts.domain.periods import Contract
from query_api.contracts.domain.terms import Price, PriceStep, PriceVersion, Terms


class Repricing(NamedTuple):
    """A price change for days that were over when the change was received."""

    made_on: date
    days: Days
    before: Price
    after: Price


NO_PRICE = Price()
Schedule = Sequence[PriceStep]
"""Sorted by day."""
_begins_on = attrgetter("begins_on")


class Prices:
    """The prices of one contract."""

    def __init__(self, versions: Iterable[PriceVersion], span: Span) -> None:
        """`versions` in the order in which they were received."""
        self._span = span
        self._known: list[tuple[date, Schedule]] = []
        for version in versions:
            previous = self._known[-1][1] if self._known else None
            self._known.append((version.received_on, follow(previous, version)))

    def charged_on(self, day: date) -> Price:
        """The price known on the day itself; before the first version was received, the price of the first version."""
        schedule: Schedule = self._known[0][1] if self._known else ()
        for received_on, known in self._known:
            if received_on <= day:
                schedule = known
        return price_at(schedule, day)

    def price_on(self, day: date) -> Price:
        """The price as known now."""
        return price_at(self.schedule, day)

    @property
    def schedule(self) -> Schedule:
        return self._known[-1][1] if self._known else ()

    def pieces(self, days: Days) -> list[tuple[Days, Price]]:
        """Split `days` into pieces with one price each, as known now."""
        return list(_pieces(days, self.schedule))

    def repricings(self) -> Iterator[Repricing]:
        """For each day, the charged price plus all its repricings is the price as known now."""
        for (_, before), (made_on, after) in zip(self._known, self._known[1:], strict=False):
            last = min(made_on, self._span.ends_on) - timedelta(days=1)
            if last < self._span.starts_on or _until(before, last) == _until(after, last):
                continue
            for days, _ in _pieces(Days(self._span.starts_on, last), [*before, *after]):
                old, new = price_at(before, days.first), price_at(after, days.first)
                if old != new:
                    yield Repricing(made_on, days, old, new)


def prices_of(contract: Contract | None) -> Prices:
    """Prices of a contract. Without known versions, its current terms apply to all days."""
    if contract is None:
        return Prices([], Span(date.min, date.max))
    return Prices(contract.versions or [only_version(contract.terms)], contract.span)


NO_PRICES = prices_of(None)


def only_version(terms: Terms) -> PriceVersion:
    price = Price(terms.overage_price, terms.credit_price, terms.currency)
    return PriceVersion(date.min, False, [PriceStep(date.min, price)])


def follow(previous: Schedule | None, version: PriceVersion) -> Schedule:
    """The schedule after a version. Without a list, a known price changes on receipt; an unknown one applies to all days."""
    base = version.steps[0].price
    if version.is_list:
        return _follow_list(previous or version.steps[:1], version.steps)
    if previous is None:
        return version.steps
    filled = _fill(previous, base)
    if price_at(filled, version.received_on) == base and filled[-1].begins_on <= version.received_on:
        return filled
    kept = bisect_left(filled, version.received_on, key=_begins_on)
    return [*filled[:kept], PriceStep(version.received_on, base)]


def _follow_list(previous: Schedule, steps_of_list: Schedule) -> Schedule:
    """A price that a step leaves out is inherited: from the previous step or, before the list begins, from the old schedule."""
    base, *listed = steps_of_list
    earlier = [step for step in previous if step.begins_on < listed[0].begins_on] or previous[:1]
    steps = [PriceStep(begins_on, _inherit(base.price, price)) for begins_on, price in earlier]
    for begins_on, price in listed:
        steps.append(PriceStep(begins_on, _inherit(price, steps[-1].price)))
    return steps


def _inherit(price: Price, before: Price) -> Price:
    """`price`, with missing prices inherited from `before`, unless the currency differs."""
    if price.overage is None and price.credit is None:
        return before
    if before.currency not in (None, price.currency):
        return price
    overage = before.overage if price.overage is None else price.overage
    return Price(overage, before.credit if price.credit is None else price.credit, price.currency)


def _fill(previous: Schedule, base: Price) -> Schedule:
    """The schedule, with prices of `base` that no step had so far."""
    unknown = {
        name: value
        for name, value in base._asdict().items()
        if value is not None and all(getattr(step.price, name) is None for step in previous)
    }
    return [PriceStep(begins_on, price._replace(**unknown)) for begins_on, price in previous] if unknown else previous


def price_at(schedule: Schedule, day: date) -> Price:
    steps = _steps_to(schedule, day)
    return schedule[steps - 1].price if steps else NO_PRICE


def _steps_to(schedule: Schedule, day: date) -> int:
    """Number of steps that have begun on a day."""
    return bisect_right(schedule, day, key=_begins_on)


def _until(schedule: Schedule, day: date) -> Schedule:
    return schedule[: _steps_to(schedule, day)]


def _pieces(days: Days, steps: Iterable[PriceStep]) -> Iterator[tuple[Days, Price]]:
    steps = sorted(steps, key=_begins_on)
    for piece in split_at(days, sorted({step.begins_on for step in steps})):
        yield piece, price_at(steps, piece.first)
