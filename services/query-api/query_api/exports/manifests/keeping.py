"""Collects what is kept of a file while it is written."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np

from query_api.calendar import Days
from query_api.exports.domain.labels import Label, UsedSeries, sort_series
from query_api.exports.formats.batches import Lines
from query_api.exports.formats.rows import Array, Rows, exact_sum
from query_api.exports.manifests.kept import FileLabels, begins_of, keep_json, keep_labels, keep_rows


class NewPart(NamedTuple):
    """A part of a file whose blocks are named by their SHA-256."""

    first_on: date | None
    begins_at: Sequence[datetime] | None
    labels_block: bytes | None
    lines_block: bytes | None


class KeptFile(NamedTuple):
    parts: Sequence[NewPart]
    blocks: dict[bytes, bytes]


class Keeper:
    """Of one file. Beyond `most` bytes nothing is kept of it."""

    def __init__(self, time_zone: str | None, most: int) -> None:
        self.events = 0
        """Of the usage, also if it is not kept."""
        self.about: dict[str, Any] = {}
        """What is the same for the whole file, as JSON."""
        self._time_zone, self._most = time_zone, most
        self._order: dict[int, int] = {}
        self._labels = FileLabels()
        self._series: Array = np.empty(0, np.int32)
        self._parts: list[NewPart] | None = []
        self._blocks: dict[bytes, bytes] = {}
        self._size = 0

    def begin(self, series: Iterable[UsedSeries]) -> None:
        """All series that the file may have, before its first month."""
        self._order = {each.series_id: at for at, each in enumerate(sort_series(series))}

    def begin_month(self, labels: Sequence[Label]) -> None:
        """The labels of the usage that follows."""
        if self._parts is not None:
            self._labels.add(labels)
            self._series = np.array([label.series_id for label in labels], np.int32)

    def add_usage(self, days: Days, rows: Rows) -> None:
        """Lines of the file, in its order; days are indexes from the first of `days`."""
        self.events += exact_sum(rows.events)
        if self._parts is not None:
            block = self._add(keep_rows(rows, self._series))
            self._append(NewPart(days.first, begins_of(days, self._time_zone), None, block))

    def add_lines(self, lines: Lines) -> None:
        """Other lines of the file, in its order."""
        if self._parts is not None and lines:
            self._append(NewPart(None, None, None, self._add(keep_json(lines))))

    def finish(self) -> KeptFile | None:
        if self._parts is None:
            return None
        labels = self._add(keep_labels(self._labels.finish(self._order)))
        about = self._add(keep_json(self.about)) if self.about else None
        self._append(NewPart(None, None, labels, about))
        if self._parts is None:
            return None
        *parts, first = self._parts
        return KeptFile([first, *parts], self._blocks)

    def _add(self, data: bytes) -> bytes:
        block = sha256(data).digest()
        if block not in self._blocks:
            self._blocks[block] = data
            self._size += len(data)
        return block

    def _append(self, part: NewPart) -> None:
        assert self._parts is not None
        self._parts.append(part)
        if self._size > self._most:
            self._parts, self._labels = None, FileLabels()
            self._blocks.clear()
