"""What is kept of a file: usage of some days as Parquet of integers, labels as Parquet, and other lines as JSON. Pure.

Usage is kept by series, without labels: a new name or category leaves it as it is. Labels have no days if a series has only one.
So files of other days, and later ones, have the same blocks.
"""

import io
import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from flexcredits_schemas.calendar import midnight

from query_api.calendar import Days
from query_api.exports.domain.labels import ONE_DAY, Label
from query_api.exports.formats.batches import Lines
from query_api.exports.formats.rows import Array, LabelIndex, Rows

_TYPES = {int: pa.int32(), date: pa.date32(), str: pa.string()}
_LABELS = pa.schema([(name, _TYPES.get(kind, pa.string())) for name, kind in Label.__annotations__.items()])
_ROWS = ["day", "series", "is_correction", "credits", "events"]


class AnotherForm(Exception):
    """Lines were kept by a release that kept other columns."""


class KeptPart(NamedTuple):
    """`begins_at`: of each day from `first_on` on, and the end of the last one. Without days it has other lines or, if it is the
    first part, what is the same for the whole file. `labels` None: those of the part before."""

    first_on: date | None
    begins_at: Sequence[datetime] | None
    labels: bytes | None
    lines: bytes | None


def days_of(first_on: date, begins_at: Sequence[datetime]) -> Days:
    return Days(first_on, first_on + timedelta(days=len(begins_at) - 2))


def begins_of(days: Days, time_zone: str | None) -> list[datetime]:
    """The instants at which the days begin, and the last one ends."""
    number = (days.last - days.first).days + 1
    return [midnight(days.first + at * ONE_DAY, time_zone) for at in range(number)] + [
        midnight(days.last + ONE_DAY, time_zone)
    ]


class FileLabels:
    """The labels of a file, from those of its months."""

    def __init__(self) -> None:
        self._of: dict[int, list[Label]] = {}

    def add(self, labels: Sequence[Label]) -> None:
        for label in labels:
            found = self._of.setdefault(label.series_id, [])
            if not found or found[-1][3:] != label[3:]:
                found.append(label)

    def finish(self, order: Mapping[int, int]) -> list[Label]:
        """By `order` of their series. The first label of a series begins with time, the last one ends with it."""
        labels = []
        for series_id in sorted(self._of, key=order.__getitem__):
            of_series = self._of[series_id]
            firsts = [date.min, *(label.first for label in of_series[1:])]
            lasts = [*(first - ONE_DAY for first in firsts[1:]), date.max]
            for label, first, last in zip(of_series, firsts, lasts, strict=True):
                labels.append(label._replace(first=first, last=last))
        return labels


def keep_labels(labels: Sequence[Label]) -> bytes:
    columns = list(zip(*labels, strict=True)) or [()] * len(_LABELS)
    arrays = [pa.array(list(cells), field.type) for cells, field in zip(columns, _LABELS, strict=True)]
    return _write(pa.Table.from_arrays(arrays, schema=_LABELS))


def read_labels(data: bytes) -> list[Label]:
    """Raises AnotherForm."""
    table = _read(data)
    if table.column_names != list(Label._fields):
        raise AnotherForm(AnotherForm.__doc__)
    return [Label(*cells) for cells in zip(*(column.to_pylist() for column in table.columns), strict=True)]


def keep_rows(rows: Rows, series: Array) -> bytes:
    """`series`: the series of each label."""
    columns = (rows.day, series[rows.label], rows.is_correction, rows.credits, rows.events)
    return _write(pa.table({name: pa.array(values) for name, values in zip(_ROWS, columns, strict=True)}))


def read_kept_rows(data: bytes, days: Days, labels: LabelIndex) -> Rows:
    """Raises AnotherForm."""
    table = _read(data)
    if table.column_names not in (_ROWS, list(Rows._fields)):
        raise AnotherForm(AnotherForm.__doc__)
    day, label, *rest = (np.asarray(column.to_numpy()) for column in table.columns)
    if table.column_names == _ROWS:
        label = labels.find(label.astype(np.int64), day.astype(np.int64) + days.first.toordinal())
        if (label < 0).any():
            raise AnotherForm(AnotherForm.__doc__)
        label = label.astype(np.int32)
    return Rows(day, label, *rest)


def keep_json(value: object) -> bytes:
    return zlib.compress(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def read_about(data: bytes | None) -> dict[str, Any]:
    """What is the same for a whole file. Raises AnotherForm."""
    found = {} if data is None else _read_json(data)
    if not isinstance(found, dict):
        raise AnotherForm(AnotherForm.__doc__)
    return found


def read_other_lines(data: bytes | None) -> Lines:
    """Raises AnotherForm."""
    found = [] if data is None else _read_json(data)
    if not isinstance(found, list):
        raise AnotherForm(AnotherForm.__doc__)
    return found


def _read_json(data: bytes) -> object:
    try:
        return json.loads(zlib.decompress(data))
    except (zlib.error, ValueError):
        raise AnotherForm(AnotherForm.__doc__) from None


def _read(data: bytes) -> Any:
    try:
        return pq.read_table(io.BytesIO(data))
    except pa.ArrowInvalid:
        raise AnotherForm(AnotherForm.__doc__) from None


def _write(table: Any) -> bytes:
    written = io.BytesIO()
    pq.write_table(table, written, compression="zstd", use_dictionary=False, write_statistics=False)
    return written.getvalue()
