"""The rate card: which rate is in force at a time, for the aggregator and for explanations. A pure function of rates."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from math import inf
from typing import NamedTuple

from flexcredits_schemas.credits import round_half_even
from flexcredits_schemas.quantities import Price

DEPLOYMENT = ""
ANY_FEATURE = "*"
FOUND_MAX = 100_000
"""Kinds of usage whose rates are kept, about 300 bytes each: features and units may differ in each event."""


class Rate(NamedTuple):
    """One rate. `credits` per `per` units, both in millionths; instants in seconds since 1970."""

    rate_id: int
    organization: str  # DEPLOYMENT for all organizations
    product: str
    feature_kind: str
    feature: str  # ANY_FEATURE for all features
    unit: str
    credits: int
    per: int
    effective_from: float  # -inf when the catalog event gives none
    received: float
    offset: int
    part_of: str | None = None  # the unit that includes this unit

    @property
    def specificity(self) -> tuple[bool, bool]:
        return self.organization != DEPLOYMENT, self.feature != ANY_FEATURE

    @property
    def price(self) -> Price:
        return Price(self.credits, self.per, self.part_of)

    def credits_of(self, quantity: int) -> int:
        """Micro-credits of `quantity` millionths of a unit, rounded half to even, once."""
        return round_half_even(quantity * self.credits, self.per)


class Timeline(NamedTuple):
    """The rates of one Kind. From `ends[n - 1]` on and before `ends[n]` (seconds since 1970), `in_force[n]` is in force, or
    none, and `first[n]` is the first rate whose `effective_from` reaches that time."""

    ends: "array[float]"
    in_force: tuple[Rate | None, ...]
    first: tuple[Rate | None, ...]


class Stretches:
    """The rates that may apply to some usage: a timeline for each scope, the most specific one first.

    They are not merged: an organization may have thousands of rates for all features, and thousands of features with a rate of
    their own.
    """

    def __init__(self, timelines: Sequence[Timeline]) -> None:
        self.timelines = timelines

    def at(self, occurred: float) -> Rate | None:
        first: Rate | None = None
        for ends, in_force, firsts in self.timelines:
            number = bisect_right(ends, occurred)
            if (rate := in_force[number]) is not None:
                return rate
            first = first_of(first, firsts[number])
        return first

    @cached_property
    def ends(self) -> tuple[float, ...]:
        """The times at which at() may change, ascending."""
        return tuple(sorted({end for timeline in self.timelines for end in timeline.ends}))

    @cached_property
    def covered_from(self) -> float:
        """The time from which on at() gives a rate, in seconds since 1970; infinity if there is none."""
        begins = (
            next((begin for begin, first in zip((-inf, *ends), firsts, strict=True) if first is not None), inf)
            for ends, _, firsts in self.timelines
        )
        return min(begins, default=inf)


def first_of(one: Rate | None, other: Rate | None) -> Rate | None:
    """The one that was received first."""
    if one is None or (other is not None and other.offset < one.offset):
        return other
    return one


Kind = tuple[str, str, str, str, str]
"""Organization, product, feature kind, feature and unit."""


class RateCard:
    """All rates, searched by Kind. What is computed for a kind is shared by all kinds with the same rates."""

    def __init__(self) -> None:
        self._rates: dict[Kind, list[Rate]] = {}
        self._timelines: dict[Kind, Timeline] = {}
        self._stretches: dict[tuple[Kind, ...], Stretches] = {}
        """By the keys of `_rates` that may apply to usage."""
        self._found: dict[Kind, Stretches] = {}

    def add(self, rates: Iterable[Rate]) -> None:
        for rate in rates:
            key = (rate.organization, rate.product, rate.feature_kind, rate.feature, rate.unit)
            self._rates.setdefault(key, []).append(rate)
            self._timelines.pop(key, None)
            self._stretches.clear()
            self._found.clear()

    def rate_at(
        self, organization: str, product: str, feature_kind: str, feature: str, unit: str, occurred: float
    ) -> Rate | None:
        """The rate of this usage at `occurred`, or None when no rate covers that time yet.

        A rate is in force from the later of `effective_from` and its receipt, so it never changes usage that was
        counted before. A rate of the organization precedes one of the deployment, an exact feature precedes the
        wildcard, then the latest rate applies. If no rate was in force at that time, the first rate whose
        `effective_from` reaches it applies: the backdated rate that releases held usage.
        """
        return self.stretches_of(organization, product, feature_kind, feature, unit).at(occurred)

    def changes_of(
        self, organization: str, product: str, feature_kind: str, feature: str, unit: str
    ) -> tuple[float, ...]:
        """The times at which rate_at() may give another rate than just before, ascending."""
        return self.stretches_of(organization, product, feature_kind, feature, unit).ends

    def stretches_of(self, organization: str, product: str, feature_kind: str, feature: str, unit: str) -> Stretches:
        """The rates of this usage by time. Kinds with the same rates get the same object, until a rate is added."""
        kind = organization, product, feature_kind, feature, unit
        found = self._found.get(kind)
        if found is None:
            keys = tuple(
                key
                for scope in (organization, DEPLOYMENT)
                for name in (feature, ANY_FEATURE)
                if (key := (scope, product, feature_kind, name, unit)) in self._rates
            )
            found = self._stretches.get(keys)
            if found is None:
                found = self._stretches[keys] = Stretches([self._timeline(key) for key in keys])
            if len(self._found) >= FOUND_MAX:
                self._found.clear()
            self._found[kind] = found
        return found

    def _timeline(self, key: Kind) -> Timeline:
        found = self._timelines.get(key)
        if found is None:
            found = self._timelines[key] = find_timeline(self._rates[key])
        return found


def find_timeline(rates: Iterable[Rate]) -> Timeline:
    """The timeline of the rates of one Kind, in any order. Time is proportional to n log n."""
    by_start = sorted((max(rate.effective_from, rate.received), rate.offset, rate) for rate in rates)
    by_reach = sorted((rate.effective_from, rate.offset, rate) for _, _, rate in by_start)
    ends = sorted({at for at, _, _ in (*by_start, *by_reach)} - {float("-inf")})
    in_force, firsts = list[Rate | None](), list[Rate | None]()
    latest: Rate | None = None
    first: Rate | None = None
    started = reached = 0
    for begin in (float("-inf"), *ends):
        while started < len(by_start) and by_start[started][0] <= begin:
            latest = by_start[started][2]
            started += 1
        while reached < len(by_reach) and by_reach[reached][0] <= begin:
            first = first_of(first, by_reach[reached][2])
            reached += 1
        in_force.append(latest)
        firsts.append(first)
    return Timeline(array("d", ends), tuple(in_force), tuple(firsts))
