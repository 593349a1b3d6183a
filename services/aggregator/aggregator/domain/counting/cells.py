"""Sums by key as arrays: rows of the rollup tables, sorted by their keys. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.int64]
_PACKED_MAX = 2**62


class Cells(NamedTuple):
    """Rows of a rollup table with one row per key, sorted by key. Arrays of equal length."""

    organization: Array
    period: Array
    """Quarter of an hour, day, or first day of a month, since 1970."""
    series: Array
    credits: Array
    events: Array

    def take(self, rows: NDArray[np.bool_]) -> "Cells":
        return Cells(*(column[rows] for column in self))


def group(keys: Sequence[Array], *sums: Array) -> tuple[list[Array], list[Array]]:
    """The distinct keys in ascending order, and by key the totals of each array of `sums`."""
    if not len(keys[0]):
        return list(keys), list(sums)
    order = _sort(keys)
    keys = [key[order] for key in keys]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    starts = np.flatnonzero(is_first)
    return [key[starts] for key in keys], [np.add.reduceat(column[order], starts) for column in sums]


def _sort(keys: Sequence[Array]) -> NDArray[np.intp]:
    """The order of the keys. Keys that fit into one integer together are sorted in a third of the time."""
    packed, width = np.zeros(len(keys[0]), np.int64), 1
    for key in keys:
        least = int(key.min())
        size = int(key.max()) - least + 1
        width *= size
        if width > _PACKED_MAX:
            return np.lexsort(keys[::-1])
        packed = packed * size + (key - least)
    return np.argsort(packed)


def add_cells(*parts: Cells) -> Cells:
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    keys, sums = group(columns[:3], *columns[3:])
    return Cells(*keys, *sums)


def cells_of(sums: Mapping[tuple[int, int, int], Sequence[int]]) -> Cells:
    """Rows of Rollups.quarters or days as arrays."""
    rows = np.array([(*key, *cell) for key, cell in sums.items()], np.int64).reshape(-1, 5)
    rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]
    return Cells(*rows.T)


def months_of(days: Cells) -> Cells:
    """The sums of the months that the days lie in, by the first day of each month since 1970."""
    keys, sums = group([days.organization, month_of_days(days.period), days.series], days.credits, days.events)
    return Cells(*keys, *sums)


def month_of_days(days: Array) -> Array:
    """The first day of the month of each day, both since 1970."""
    return days.astype("M8[D]").astype("M8[M]").astype("M8[D]").astype(np.int64)


def months_of_quarters(quarters: Cells) -> NDArray[np.datetime64]:
    """The month in UTC of each quarter of an hour."""
    return (quarters.period * 900).astype("M8[s]").astype("M8[M]")
