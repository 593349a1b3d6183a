"""Counts the lines of a file while it is written, and adds up its credits."""

import asyncio
import io
from collections.abc import Sequence
from contextlib import aclosing
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from query_api.exports.formats.batches import PLACES, TYPES, Batch
from query_api.exports.formats.files import Part, Parts
from query_api.exports.manifests.keeping import Keeper


class Measured:
    """Lines and micro-credits of the parts that were read."""

    def __init__(self, columns: Sequence[str], column: str | None, credits: int | None) -> None:
        """`column`: of credits, if the file has one; else `credits` is known, or None."""
        self._columns, self._column = columns, column
        self.lines = 0
        self.credits = credits if column is None else 0

    async def read(self, parts: Parts, keeper: Keeper | None = None) -> Parts:
        """The parts. Lines that are not of usage are kept as they are."""
        async with aclosing(parts):
            async for part in parts:
                if keeper is not None and not isinstance(part, Batch | bytes):
                    await asyncio.to_thread(keeper.add_lines, part)
                lines, credits = await asyncio.to_thread(measure, part, self._columns, self._column)
                self.lines += lines
                if self._column is not None:
                    self.credits = (self.credits or 0) + credits
                yield part


def measure(part: Part, columns: Sequence[str], column: str | None) -> tuple[int, int]:
    """Lines, and the micro-credits in `column`, which is one of `columns`; empty cells are 0."""
    if isinstance(part, bytes):
        return _measure_csv(part, columns, column)
    if isinstance(part, Batch):
        return part.length, 0 if column is None else _sum(part.columns[column])
    if column is None:
        return len(part), 0
    at = list(columns).index(column)
    return len(part), sum(_micro(Decimal(line[at] or 0)) for line in part)


def _measure_csv(data: bytes, columns: Sequence[str], column: str | None) -> tuple[int, int]:
    """Lines that Postgres wrote, without a header."""
    if not data:
        return 0, 0
    name = column or columns[0]
    table = pa.csv.read_csv(
        io.BytesIO(data),
        pa.csv.ReadOptions(column_names=list(columns), use_threads=False),
        pa.csv.ParseOptions(newlines_in_values=True),
        pa.csv.ConvertOptions(
            column_types={name: TYPES["sum"] if column else pa.string()}, include_columns=[name], null_values=[""]
        ),
    )
    return table.num_rows, 0 if column is None else _sum(table[name])


def _sum(amounts: pa.Array) -> int:
    total = pc.sum(amounts).as_py()
    return 0 if total is None else _micro(total)


def _micro(amount: Decimal) -> int:
    """Exact: arithmetic of Decimal rounds to the digits of its context."""
    return int(f"{amount:.{PLACES}f}".replace(".", ""))
