"""Series: usage by product, feature, agent and surface, and selecting them. Pure."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import NamedTuple

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


class SeriesColumns(NamedTuple):
    """Usage of series in one range of days, in parallel columns. A series may occur several times."""

    series_ids: Sequence[int]
    credits: Sequence[int]
    events: Sequence[int]


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
