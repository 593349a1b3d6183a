"""Inserts many rows by binary COPY: from arrays, without a Python object per value."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from runtime.postgres.pool import Connection

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"


async def copy_rows(connection: Connection, table: str, fields: Mapping[str, tuple[NDArray[Any], str]]) -> None:
    """Insert rows without nulls. `fields` holds, by column, the values and their type in Postgres' binary form, such as
    ">i4" for integer.

    For a file, asyncpg 0.32 makes a class that holds it until the cyclic garbage collector runs, so that with the threshold
    of decision 9 all copied bytes would stay in memory.
    """
    source = _stream(_encode([*fields.values()]))
    await connection.copy_to_table(table, source=source, columns=[*fields], format="binary")


async def _stream(rows: bytes) -> AsyncIterator[bytes]:
    yield rows


def _encode(fields: Sequence[tuple[NDArray[Any], str]]) -> bytes:
    """Each row has the number of its fields, then for each its length and value."""
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for at, (_, kind) in enumerate(fields):
        layout += [(f"length{at}", ">i4"), (f"value{at}", kind)]
    rows = np.empty(len(fields[0][0]), layout)
    rows["fields"] = len(fields)
    for at, (values, kind) in enumerate(fields):
        rows[f"length{at}"], rows[f"value{at}"] = np.dtype(kind).itemsize, values
    return _HEADER + rows.tobytes() + _END
