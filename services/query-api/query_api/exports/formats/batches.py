"""Lines with types, column by column. Texts of many lines are stored once, with an index for each line."""

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv

from query_api.exports.domain.kinds import Columns, Kind
from query_api.exports.formats.rows import Array

Cell = str | int | None
Lines = Sequence[Sequence[Cell]]
"""Lines as texts of CSV, before quoting; None is an empty cell."""

COST_PLACES, PLACES = 12, 6
TYPES: dict[Kind, Any] = {
    "text": pa.string(),
    "json": pa.string(),
    "instant": pa.timestamp("us", "UTC"),
    "day": pa.date32(),
    "cost": pa.decimal128(38, COST_PLACES),
    "credits": pa.decimal128(19, PLACES),  # a bigint of micro-credits
    "count": pa.int64(),
    "flag": pa.bool_(),
    "sum": pa.decimal128(38, PLACES),
    "share": pa.decimal128(38, PLACES),
}


class Keyed(NamedTuple):
    """A column with `values[key[n]]` in line n. Columns of the same key are the same array object."""

    key: Any
    values: Any


class Constant(NamedTuple):
    """A column with the same value in each line, as an array of one."""

    values: Any


Column = Any
"""A pyarrow array, Keyed or Constant."""


class Batch(NamedTuple):
    length: int
    columns: Mapping[str, Column]


def key_of(index: Array) -> Any:
    return pa.array(index, pa.int32())


def key_of_used(index: Array) -> tuple[Any, list[int]]:
    """A key into those values only that lines with this index have, and where they are among all values."""
    used, key = np.unique(index, return_inverse=True)
    return key_of(key), used.tolist()


def texts(values: Iterable[str | None]) -> Any:
    return pa.array(values, pa.string())


def constant(kind: Kind, text: str | None) -> Constant:
    return Constant(typed(kind, [text]))


def decimals(units: Array, kind: Kind) -> Any:
    """Integers (int64) of the smallest unit as decimals."""
    words = np.empty((len(units), 2), "<i8")
    words[:, 0], words[:, 1] = units, units >> 63
    return pa.Decimal128Array.from_buffers(TYPES[kind], len(units), [None, pa.py_buffer(words)])


def products(amounts: Array, prices: Sequence[int], key: Array) -> Any:
    """Costs: `amounts` (millionths) times `prices[key]` (millionths), exact."""
    if largest(amounts) * max(map(abs, prices), default=0) < 2**63:
        return decimals(amounts * np.array(prices, np.int64)[key], "cost")
    exact = (int(amount) * prices[at] for amount, at in zip(amounts, key, strict=True))
    return pa.array([_exact(units, COST_PLACES) for units in exact], TYPES["cost"])


def _exact(units: int, places: int) -> Decimal:
    """All digits: arithmetic of Decimal rounds to those of its context."""
    return Decimal((int(units < 0), tuple(map(int, str(abs(units)))), -places))


def largest(amounts: Array) -> int:
    return max(abs(int(amounts.min())), abs(int(amounts.max()))) if len(amounts) else 0


def typed(kind: Kind, cells: Sequence[Cell]) -> Any:
    """Cells of CSV as an array."""
    parse = _PARSE.get(kind)
    return pa.array(cells if parse is None else [None if cell is None else parse(cell) for cell in cells], TYPES[kind])


def batch_of_lines(lines: Lines, columns: Columns) -> Batch:
    by_column = zip(*lines, strict=True) if lines else ([] for _ in columns)
    return Batch(
        len(lines),
        {name: typed(kind, list(cells)) for (name, kind), cells in zip(columns.items(), by_column, strict=True)},
    )


def read_lines(data: bytes, columns: Columns) -> dict[str, Any]:
    """CSV lines of Postgres without a header as arrays; a quoted empty text is not null."""
    if not data:
        return {name: pa.array([], TYPES[kind]) for name, kind in columns.items()}
    table = pa.csv.read_csv(
        io.BytesIO(data),
        pa.csv.ReadOptions(column_names=list(columns), use_threads=False),
        pa.csv.ParseOptions(newlines_in_values=True),
        pa.csv.ConvertOptions(
            column_types={name: TYPES[kind] for name, kind in columns.items()},
            null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
        ),
    ).combine_chunks()  # fmt: skip
    return {name: table[name].combine_chunks() for name in columns}


_PARSE: dict[Kind, Any] = {
    "instant": datetime.fromisoformat,
    "day": date.fromisoformat,
    "cost": Decimal,
    "credits": Decimal,
    "sum": Decimal,
    "share": Decimal,
    "count": int,
    "flag": "true".__eq__,
}
