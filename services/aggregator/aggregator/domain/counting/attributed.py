"""Sums of attributed usage as arrays: rows of usage_attributed_daily and usage_attributed_monthly. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aggregator.domain.counting.cells import group, month_of_days

Array = NDArray[np.int64]


class AttributedDays(NamedTuple):
    """Rows with one per key, sorted by key. Arrays of equal length."""

    organization: Array
    day: Array
    """Local day since 1970."""
    attribution: Array
    series: Array
    credits: Array
    events: Array


def attributed_days_of(sums: Mapping[tuple[int, int, int, int], Sequence[int]]) -> AttributedDays:
    """Rollups.attributed_days as arrays."""
    rows = np.array([(*key, *cell) for key, cell in sums.items()], np.int64).reshape(-1, 6)
    return add_attributed_days(AttributedDays(*rows.T))


def add_attributed_days(*parts: AttributedDays) -> AttributedDays:
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    keys, sums = group(columns[:4], *columns[4:])
    return AttributedDays(*keys, *sums)


def attributed_months_of(days: AttributedDays) -> AttributedDays:
    """The sums of months over all series: the day is the first of the month, and the series 0."""
    keys, sums = group([days.organization, month_of_days(days.day), days.attribution], days.credits, days.events)
    organization, month, attribution = keys
    return AttributedDays(organization, month, attribution, np.zeros_like(month), *sums)
