"""The rate card: which rate is in force at a time, for the aggregator and for explanations. A pure function of rates."""

from collections.abc import Iterable
from typing import NamedTuple

from flexcredits_schemas.credits import round_half_even
from flexcredits_schemas.quantities import Price

DEPLOYMENT = ""
ANY_FEATURE = "*"


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


class RateCard:
    """All rates, searched by (organization, product, feature kind, feature, unit)."""

    def __init__(self) -> None:
        self._rates: dict[tuple[str, str, str, str, str], list[Rate]] = {}
        self._covering: dict[tuple[str, str, str, str, str], list[Rate]] = {}

    def add(self, rates: Iterable[Rate]) -> None:
        for rate in rates:
            key = (rate.organization, rate.product, rate.feature_kind, rate.feature, rate.unit)
            self._rates.setdefault(key, []).append(rate)
        self._covering.clear()

    def rate_at(
        self, organization: str, product: str, feature_kind: str, feature: str, unit: str, occurred: float
    ) -> Rate | None:
        """The rate of this usage at `occurred`, or None when no rate covers that time yet.

        A rate is in force from the later of `effective_from` and its receipt, so it never changes usage that was
        counted before. A rate of the organization precedes one of the deployment, an exact feature precedes the
        wildcard, then the latest rate applies. If no rate was in force at that time, the first rate whose
        `effective_from` reaches it applies: the backdated rate that releases held usage.
        """
        covering = self._find_covering((organization, product, feature_kind, feature, unit))
        in_force = [rate for rate in covering if max(rate.effective_from, rate.received) <= occurred]
        if in_force:
            return max(
                in_force, key=lambda rate: (rate.specificity, max(rate.effective_from, rate.received), rate.offset)
            )
        return next((rate for rate in covering if rate.effective_from <= occurred), None)

    def changes_of(self, organization: str, product: str, feature_kind: str, feature: str, unit: str) -> list[float]:
        """The times at which rate_at() may give another rate than just before, ascending."""
        covering = self._find_covering((organization, product, feature_kind, feature, unit))
        times = {max(rate.effective_from, rate.received) for rate in covering}
        return sorted((times | {rate.effective_from for rate in covering}) - {float("-inf")})

    def _find_covering(self, key: tuple[str, str, str, str, str]) -> list[Rate]:
        """The rates that may apply to this usage, by their place in the catalog."""
        organization, product, feature_kind, feature, unit = key
        covering = self._covering.get(key)
        if covering is None:
            scopes = [
                (scope, product, feature_kind, name, unit)
                for scope in (organization, DEPLOYMENT)
                for name in (feature, ANY_FEATURE)
            ]
            covering = sorted(
                (rate for scope in scopes for rate in self._rates.get(scope, ())), key=lambda rate: rate.offset
            )
            self._covering[key] = covering
        return covering
