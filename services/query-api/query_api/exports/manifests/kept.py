"""The lines of a file as they are kept: parts of some days, as Parquet of integers and of labels. Pure."""

import io
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from flexcredits_schemas.calendar import midnight

from query_api.calendar import Days
from query_api.exports.domain.labels import ONE_DAY, Label
from query_api.exports.formats.rows import Rows

_TYPES = {int: pa.int32(), date: pa.date32(), str: pa.string()}
_LABELS = pa.schema([(name, _TYPES.get(kind, pa.string())) for name, kind in Label.__annotations__.items()])


class AnotherForm(Exception):
    """Lines were kept by a release that kept other columns."""


class KeptPart(NamedTuple):
    """`labels` None: those of the part before. `begins_at`: of each day from `first_on` on, and the end of the last one."""

    first_on: date
    begins_at: Sequence[datetime]
    labels: bytes | None
    lines: bytes

    @property
    def days(self) -> Days:
        return Days(self.first_on, self.first_on + timedelta(days=len(self.begins_at) - 2))


def begins_of(days: Days, time_zone: str | None) -> list[datetime]:
    """The instants at which the days begin, and the last one ends."""
    number = (days.last - days.first).days + 1
    return [midnight(days.first + at * ONE_DAY, time_zone) for at in range(number)] + [
        midnight(days.last + ONE_DAY, time_zone)
    ]


def keep_labels(labels: Sequence[Label]) -> bytes:
    columns = list(zip(*labels, strict=True)) or [()] * len(_LABELS)
    arrays = [pa.array(list(cells), field.type) for cells, field in zip(columns, _LABELS, strict=True)]
    return _write(pa.Table.from_arrays(arrays, schema=_LABELS))


def read_labels(data: bytes) -> list[Label]:
    """Raises AnotherForm."""
    table = _read(data, Label._fields)
    return [Label(*cells) for cells in zip(*(column.to_pylist() for column in table.columns), strict=True)]


def keep_rows(rows: Rows) -> bytes:
    return _write(pa.table({name: pa.array(values) for name, values in zip(Rows._fields, rows, strict=True)}))


def read_kept_rows(data: bytes) -> Rows:
    """Raises AnotherForm."""
    table = _read(data, Rows._fields)
    return Rows(*(np.asarray(table[name].to_numpy()) for name in Rows._fields))


def _read(data: bytes, columns: Sequence[str]) -> Any:
    table = pq.read_table(io.BytesIO(data))
    if table.column_names != list(columns):
        raise AnotherForm(AnotherForm.__doc__)
    return table


def _write(table: Any) -> bytes:
    written = io.BytesIO()
    pq.write_table(table, written, compression="zstd", use_dictionary=False, write_statistics=False)
    return written.getvalue()
