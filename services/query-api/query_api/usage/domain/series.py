"""Series: usage by product, feature, agent and surface, and selecting them. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from flexcredits_schemas.events import Product

from query_api.usage.domain.catalog import Feature

PICK_SERIES_UP_TO = 0.25
"""Share of series up to which index lookups are faster: one lookup costs about as much as four series in a sequential read."""


class Series(NamedTuple):
    feature: Feature
    agent_id: str  # "" if no agent is given
    surface: str  # "" if none is given
    product: Product


class SeriesUsage(NamedTuple):
    """Micro-credits and events of a series in a range of days that begins on `day`."""

    day: date
    series: Series
    credits: int
    events: int


Numbers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False, slots=True)
class SeriesColumns:
    """Usage of series in one range of days, in parallel arrays. A series may occur several times. Never changed."""

    series_ids: Numbers
    credits: Numbers
    """Micro-credits. No sum exceeds 64 bits, because the aggregator limits the sums of an organization."""
    events: Numbers
    token: int = field(default_factory=count().__next__)
    """Of these columns only, so that a version names them without keeping them in memory."""

    @classmethod
    def of(cls, series_ids: Sequence[int], credits: Sequence[int], events: Sequence[int]) -> "SeriesColumns":
        return cls(np.array(series_ids, np.int64), np.array(credits, np.int64), np.array(events, np.int64))

    @property
    def size(self) -> int:
        """About how many bytes they take."""
        return 500 + 3 * self.credits.nbytes

    def rows(self) -> Iterator[tuple[int, int, int]]:
        """Series, credits and events of each row."""
        return zip(self.series_ids.tolist(), self.credits.tolist(), self.events.tolist(), strict=True)

    def only(self, series_ids: Collection[int]) -> "SeriesColumns":
        """The rows of these series."""
        is_in = np.isin(self.series_ids, np.fromiter(series_ids, np.int64, len(series_ids)))
        return SeriesColumns(self.series_ids[is_in], self.credits[is_in], self.events[is_in])


class PickedSeries(NamedTuple):
    by_id: dict[int, Series]
    of_all: int  # how many series the organization has

    def picks(self) -> list[int] | None:
        """Series ids to select by index; None if reading all series is faster."""
        return sorted(self.by_id) if len(self.by_id) <= self.of_all * PICK_SERIES_UP_TO else None

    def divide(self, features: Collection[Feature]) -> tuple["PickedSeries", "PickedSeries"]:
        """The series of these features, and the others."""
        if not features:
            return PickedSeries({}, self.of_all), self
        inside = {series_id: series for series_id, series in self.by_id.items() if series.feature in features}
        outside = {series_id: series for series_id, series in self.by_id.items() if series.feature not in features}
        return PickedSeries(inside, self.of_all), PickedSeries(outside, self.of_all)

    def of_surfaces(self, surfaces: Collection[str] | None) -> "PickedSeries":
        """The series of these surfaces; "" is usage without a surface, None selects all."""
        if surfaces is None:
            return self
        by_id = {series_id: series for series_id, series in self.by_id.items() if series.surface in surfaces}
        return PickedSeries(by_id, self.of_all)
