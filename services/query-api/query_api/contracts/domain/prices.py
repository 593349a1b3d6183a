"""What a contract's credits cost on a day, as was known on that day and as is known now, and what corrects the one to the other.

Files of past months keep the prices that they were made with. A version of the contract that changes days before its arrival
changes them by a correction, in the month in which it arrived.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from operator import attrgetter
from typing import NamedTuple

from query_api.calendar import Days, Span, split_at
from query_api.contracts.domain.periods import Contract
from query_api.contracts.domain.terms import Price, Step, Terms, Version


class Repricing(NamedTuple):
    """Days that were over when their price changed."""

    made_on: date
    days: Days
    before: Price
    after: Price


NO_PRICE = Price()
Schedule = Sequence[Step]
"""In the order of their days."""
_begins_on = attrgetter("begins_on")


class Prices:
    """The prices of one contract."""

    def __init__(self, versions: Iterable[Version], span: Span) -> None:
        """`versions` in the order of their arrival."""
        self._span = span
        self._known: list[tuple[date, Schedule]] = []
        for version in versions:
            previous = self._known[-1][1] if self._known else None
            self._known.append((version.received_on, follow(previous, version)))

    def charged_on(self, day: date) -> Price:
        """What was known on the day itself; before the contract's first version arrived, what that one said."""
        schedule: Schedule = self._known[0][1] if self._known else ()
        for received_on, known in self._known:
            if received_on <= day:
                schedule = known
        return price_at(schedule, day)

    def price_on(self, day: date) -> Price:
        """As it is known now."""
        return price_at(self.schedule, day)

    @property
    def schedule(self) -> Schedule:
        return self._known[-1][1] if self._known else ()

    def pieces(self, days: Days) -> list[tuple[Days, Price]]:
        """`days` in pieces in which the price, as it is known now, is one."""
        return list(_pieces(days, self.schedule))

    def repricings(self) -> Iterator[Repricing]:
        """What was charged on each day and all its repricings make up the price as it is known now."""
        for (_, before), (made_on, after) in zip(self._known, self._known[1:], strict=False):
            last = min(made_on, self._span.ends_on) - timedelta(days=1)
            if last < self._span.starts_on or _until(before, last) == _until(after, last):
                continue
            for days, _ in _pieces(Days(self._span.starts_on, last), [*before, *after]):
                old, new = price_at(before, days.first), price_at(after, days.first)
                if old != new:
                    yield Repricing(made_on, days, old, new)


def prices_of(contract: Contract | None) -> Prices:
    """A contract whose versions are not known had its present prices always."""
    if contract is None:
        return Prices([], Span(date.min, date.max))
    return Prices(contract.versions or [only_version(contract.terms)], contract.span)


NO_PRICES = prices_of(None)


def only_version(terms: Terms) -> Version:
    price = Price(terms.overage_price, terms.credit_price, terms.currency)
    return Version(date.min, False, [Step(date.min, price)])


def follow(previous: Schedule | None, version: Version) -> Schedule:
    """The schedule after a version. Without a list, a price changes on arrival, and one that was never known has always held."""
    base = version.steps[0].price
    if version.is_list:
        return _follow_list(previous or version.steps[:1], version.steps)
    if previous is None:
        return version.steps
    filled = _fill(previous, base)
    if price_at(filled, version.received_on) == base and filled[-1].begins_on <= version.received_on:
        return filled
    kept = bisect_left(filled, version.received_on, key=_begins_on)
    return [*filled[:kept], Step(version.received_on, base)]


def _follow_list(previous: Schedule, said: Schedule) -> Schedule:
    """A price that the list leaves out is the one before it: of the step before or, ahead of the list, of that day so far."""
    base, *listed = said
    earlier = [step for step in previous if step.begins_on < listed[0].begins_on] or previous[:1]
    steps = [Step(begins_on, _inherit(base.price, price)) for begins_on, price in earlier]
    for begins_on, price in listed:
        steps.append(Step(begins_on, _inherit(price, steps[-1].price)))
    return steps


def _inherit(said: Price, before: Price) -> Price:
    """`said`, and what was before of that which it leaves out; a price of another currency cannot stand beside it."""
    if said.overage is None and said.credit is None:
        return before
    if before.currency not in (None, said.currency):
        return said
    overage = before.overage if said.overage is None else said.overage
    return Price(overage, before.credit if said.credit is None else said.credit, said.currency)


def _fill(previous: Schedule, base: Price) -> Schedule:
    """With what no step has said so far."""
    unknown = {
        name: value
        for name, value in base._asdict().items()
        if value is not None and all(getattr(step.price, name) is None for step in previous)
    }
    return [Step(begins_on, price._replace(**unknown)) for begins_on, price in previous] if unknown else previous


def price_at(schedule: Schedule, day: date) -> Price:
    steps = _steps_to(schedule, day)
    return schedule[steps - 1].price if steps else NO_PRICE


def _steps_to(schedule: Schedule, day: date) -> int:
    """How many steps have begun on a day."""
    return bisect_right(schedule, day, key=_begins_on)


def _until(schedule: Schedule, day: date) -> Schedule:
    return schedule[: _steps_to(schedule, day)]


def _pieces(days: Days, steps: Iterable[Step]) -> Iterator[tuple[Days, Price]]:
    steps = sorted(steps, key=_begins_on)
    for piece in split_at(days, sorted({step.begins_on for step in steps})):
        yield piece, price_at(steps, piece.first)
