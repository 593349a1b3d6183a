"""Usage from Postgres' binary COPY, as arrays in the order of a file's lines. Pure."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple, Self

import numpy as np

from query_api.calendar import Days
from query_api.exports.domain.labels import Label

Array = np.ndarray[Any, Any]

COLUMNS = {"day": "i4", "series_id": "i4", "credits": "i8", "corrected": "i8", "events": "i8"}
"""Result columns of the statements, none of them null."""
_ROW = np.dtype(
    [("columns", ">i2")]
    + [field for name, kind in COLUMNS.items() for field in ((f"{name}_bytes", ">i4"), (name, f">{kind}"))]
)
_BEFORE, _AFTER = 19, 2
"""Bytes of the header and the trailer (PostgreSQL documentation, COPY, Binary Format)."""
_EPOCH = date(2000, 1, 1).toordinal()
"""Postgres counts days from here."""


class Rows(NamedTuple):
    """A line's day and label as indexes, its micro-credits and events. Corrections follow the usage that they correct."""

    day: Array
    label: Array
    is_correction: Array
    credits: Array
    events: Array

    def pieces(self, most: int) -> Iterator[Self]:
        """The same lines, at most so many at once."""
        for at in range(0, len(self.day), most):
            yield type(self)(*(each[at : at + most] for each in self))


class LabelIndex:
    """Finds labels by series and day. Made once for all parts with these labels: a part may have far fewer lines."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self.labels = labels
        columns = ((each.series_id, each.first.toordinal(), each.last.toordinal()) for each in labels)
        self.series, first, last = np.fromiter(columns, np.dtype((np.int64, 3)), len(labels)).T
        self._order = np.lexsort((first, self.series))
        self._first, self._last = first, last
        self._begins = self.series[self._order] << 32 | first[self._order]

    def find(self, series_id: Array, day: Array) -> Array:
        """The index of the label of each series and day (an ordinal); -1 without one."""
        if not self.labels:
            return np.full(len(day), -1)
        at = self._order[np.maximum(np.searchsorted(self._begins, series_id << 32 | day, "right") - 1, 0)]
        is_within = (self.series[at] == series_id) & (self._first[at] <= day) & (day <= self._last[at])
        return np.where(is_within, at, -1)


def read_rows(data: bytes, labels: LabelIndex, days: Days) -> Rows:
    """Lines that carry credits or events, sorted by day and label. Usage without a label is left out.

    `data`: rows with COLUMNS. Raises ValueError if they are something else.
    """
    found = np.frombuffer(data, _ROW, offset=_BEFORE, count=(len(data) - _BEFORE - _AFTER) // _ROW.itemsize)
    if len(data) != _BEFORE + found.nbytes + _AFTER or not (found["columns"] == len(COLUMNS)).all():
        raise ValueError("the rows are not those of the statement")
    day = found["day"].astype(np.int64) + _EPOCH
    label = labels.find(found["series_id"].astype(np.int64), day)
    known = np.flatnonzero(label >= 0)
    known = known[np.lexsort((label[known], day[known]))]
    credits, corrected, events = (found[name][known].astype(np.int64) for name in ("credits", "corrected", "events"))
    none = np.zeros(len(known), np.int64)
    of_lines = np.column_stack((credits - corrected, corrected)).ravel(), np.column_stack((events, none)).ravel()
    is_line = (of_lines[0] != 0) | (of_lines[1] != 0)
    return Rows(
        np.repeat((day[known] - days.first.toordinal()).astype(np.int32), 2)[is_line],
        np.repeat(label[known].astype(np.int32), 2)[is_line],
        np.tile(np.array([0, 1], np.int32), len(known))[is_line],
        of_lines[0][is_line],
        of_lines[1][is_line],
    )


def exact_sum(numbers: Array) -> int:
    """The sum of integers (int64), which may be larger than one of them can be."""
    return (int((numbers >> 32).sum()) << 32) + int((numbers & 0xFFFFFFFF).sum())
