"""What the catalog knows about the series of heads, as columns by the number of the head. Pure."""

from collections.abc import Hashable, Mapping

import numpy as np
from numpy.typing import NDArray

from aggregator.domain.columns.heads import Heads
from aggregator.domain.counting.rates import HeadRates
from aggregator.domain.limits.series_key import SeriesKey
from aggregator.domain.people.attribution import Attribution
from aggregator.domain.rollup import Organization

Array = NDArray[np.int64]
UNKNOWN = -1


class Places:
    """Numbers of organization and series, and what their usage is counted by. Arrays by the number of the head; UNKNOWN
    until `learn` was called with it."""

    def __init__(self, heads: Heads) -> None:
        self.heads = heads
        self.organization = self.series = self.product = self._owner = np.zeros(0, np.int64)
        self.is_rated = self.has_agent = np.zeros(0, np.bool_)
        self._folded: dict[int, SeriesKey] = {}
        """By head whose series is beyond the limit, the series that stands for it."""
        self._attribution = np.full(1, UNKNOWN, np.int64)
        """By number of the attribution, its row of usage_attributions. The last one is for NO_ATTRIBUTION."""
        self.products: list[str] = []
        """Names of products, by the numbers in `product`."""
        self.zones: list[str] = []
        """Names of time zones, by the numbers of zone_of()."""
        self.rates = HeadRates()
        self._owners: list[str] = []
        self._owner_numbers: dict[str, int] = {}
        self._owner_zone = np.zeros(0, np.int64)
        self._catalog: Hashable = None

    def learn(
        self, head: NDArray[np.int32], organizations: Mapping[str, Organization],
        series_ids: Mapping[tuple[str, ...], int], folded_series: Mapping[tuple[str, ...], SeriesKey], catalog: Hashable,
    ) -> None:  # fmt: skip
        """Find the series of these heads, which `organizations` and `series_ids` contain; those in `folded_series` are
        recorded as another one. `catalog` is the state of the mappings: a time zone may change only with it."""
        self._grow()
        missing = np.unique(head[self.series[head] == UNKNOWN]).tolist()
        for number in missing:
            key = self.heads.series[number]
            self.series[number] = series_ids[key]
            self.organization[number] = organizations[key[0]].organization_id
            self.product[number] = _number(key[1], self.products)
            self.is_rated[number] = self.heads.units[number] is not None
            if key in folded_series:
                self._folded[number] = folded_series[key]
            agent = self.heads.agents[number]
            self.has_agent[number] = agent is not None and self.agent_of(number) == agent.id
            owner = self._owner_numbers.setdefault(key[0], len(self._owner_numbers))
            if owner == len(self._owners):
                self._owners.append(key[0])
            self._owner[number] = owner
        if catalog != self._catalog or len(self._owners) > len(self._owner_zone):
            zones = [organizations[name].time_zone for name in self._owners]
            numbers = [UNKNOWN if zone is None else _number(zone, self.zones) for zone in zones]
            self._owner_zone, self._catalog = np.array(numbers, np.int64), catalog

    def learn_attributions(self, attribution: NDArray[np.int32], attribution_ids: Mapping[Attribution, int]) -> None:
        """Find the rows of these attributions, which the mapping contains."""
        for number in self.unknown_attributions_of(attribution).tolist():
            self._attribution[number] = attribution_ids[self.heads.attributions[number]]

    def unknown_attributions_of(self, attribution: NDArray[np.int32]) -> NDArray[np.int32]:
        """Those of these attributions whose row is not known yet."""
        more = len(self.heads.attributions) + 1 - len(self._attribution)
        if more:
            self._attribution = np.concatenate([self._attribution[:-1], np.full(more + 1, UNKNOWN, np.int64)])
        return np.unique(attribution[(attribution >= 0) & (self._attribution[attribution] == UNKNOWN)])

    def attribution_of(self, attribution: NDArray[np.int32]) -> Array:
        """The row of each attribution, UNKNOWN for NO_ATTRIBUTION."""
        return self._attribution[attribution]

    def agent_of(self, head: int) -> str:
        """The agent of the series under which usage of this head is recorded."""
        return self._folded[head].agent_id if head in self._folded else self.heads.series[head][4]

    def unknown_of(self, head: NDArray[np.int32]) -> NDArray[np.int32]:
        """Those of these heads whose series is not known yet."""
        self._grow()
        unknown: NDArray[np.int32] = head[self.series[head] == UNKNOWN]
        return unknown

    def names_of(self, head: NDArray[np.int32]) -> set[str]:
        """The organizations of those of these heads whose series is known."""
        self._grow()
        numbers = np.unique(self._owner[head[self.series[head] != UNKNOWN]])
        return {self._owners[number] for number in numbers.tolist()}

    def zone_of(self, head: NDArray[np.int32]) -> Array:
        """The number of the time zone of each head's organization, UNKNOWN if it has none yet."""
        return self._owner_zone[self._owner[head]]

    def _grow(self) -> None:
        more = len(self.heads) - len(self.series)
        if more:
            self.organization, self.series, self.product, self._owner = (
                np.concatenate([array, np.full(more, UNKNOWN, np.int64)])
                for array in (self.organization, self.series, self.product, self._owner)
            )
            self.is_rated, self.has_agent = (
                np.concatenate([array, np.zeros(more, np.bool_)]) for array in (self.is_rated, self.has_agent)
            )


def _number(name: str, names: list[str]) -> int:
    """The place of a name in the list, to which it is added; there are few."""
    if name not in names:
        names.append(name)
    return names.index(name)
