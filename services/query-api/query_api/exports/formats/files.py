"""Writes the parts of a file as CSV or Parquet."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from itertools import islice
from typing import Literal, Protocol

from query_api.exports.domain.cells import (
    EXACT,
    GUARDED,
    CellRules,
    end_lines,
    header_line,
    write_lines,
)
from query_api.exports.domain.kinds import Columns
from query_api.exports.formats.batches import Batch, Cell, Lines
from query_api.exports.formats.lines import format_batch
from query_api.exports.formats.parquet import ParquetFile

PIECE_BYTES = 256 * 1024
"""Bytes per piece of a response."""
LINES_AT_ONCE = 500
"""Lines per step: to make them takes about 20 ms, then other requests run."""

Part = Batch | Lines | bytes
"""Lines of a file; `bytes` are lines that Postgres wrote as CSV."""

Parts = AsyncGenerator[Part, None]

Copy = Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]]
"""A COPY that awaits its argument for each piece that Postgres sends."""


class FileWriter(Protocol):
    media_type: str
    extension: Literal["csv", "parquet"]
    rules: CellRules
    """How texts of the parts are escaped."""

    def begin(self) -> bytes: ...

    def add(self, part: Part) -> bytes: ...

    def end(self) -> bytes: ...


class CsvWriter:
    media_type = "text/csv; charset=utf-8; header=present"
    extension: Literal["csv", "parquet"] = "csv"
    rules = GUARDED

    def __init__(self, columns: Iterable[str], *, bom: bool = False) -> None:
        self._begin = header_line(columns, bom=bom)

    def begin(self) -> bytes:
        return self._begin

    def add(self, part: Part) -> bytes:
        if isinstance(part, bytes):
            return end_lines(part)
        return format_batch(part) if isinstance(part, Batch) else write_lines(part)

    def end(self) -> bytes:
        return b""


class ParquetWriter:
    media_type = "application/vnd.apache.parquet"
    extension: Literal["csv", "parquet"] = "parquet"
    rules = EXACT

    def __init__(self, columns: Columns, metadata: Mapping[str, str]) -> None:
        self._file = ParquetFile(columns, metadata)

    def begin(self) -> bytes:
        return self._file.take()

    def add(self, part: Part) -> bytes:
        if isinstance(part, bytes):
            raise TypeError("lines of Postgres have no types")
        self._file.add(part)
        return self._file.take()

    def end(self) -> bytes:
        self._file.end()
        return self._file.take()


async def write_file(writer: FileWriter, parts: Parts) -> AsyncGenerator[bytes, None]:
    """The file in pieces of up to PIECE_BYTES. It is whole only if the iterator ends without an error."""
    for piece in _cut(writer.begin()):
        yield piece
    async with aclosing(_ahead(parts)) as read:
        async for part in read:
            for piece in _cut(await asyncio.to_thread(writer.add, part)):
                yield piece
    for piece in _cut(await asyncio.to_thread(writer.end)):
        yield piece


async def _ahead(parts: Parts) -> Parts:
    """The parts; the next one is read while the last one is written and sent."""
    async with aclosing(parts):
        coming = asyncio.ensure_future(anext(parts, None))
        try:
            while (part := await coming) is not None:
                coming = asyncio.ensure_future(anext(parts, None))
                yield part
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


def _cut(data: bytes) -> Iterable[bytes]:
    return (data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))


async def lines_of(lines: Iterable[Iterable[Cell]]) -> Parts:
    """Lines in steps, so that other requests run in between."""
    rest = iter(lines)
    while some := list(islice(rest, LINES_AT_ONCE)):
        yield [list(line) for line in some]
        await asyncio.sleep(0)


async def copied(copy: Copy) -> AsyncGenerator[bytes, None]:
    """Lines of a COPY, in pieces of whole lines. It waits until they are read, and ends with this iterator."""
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
    room = asyncio.Semaphore(2)
    gathered = bytearray()

    async def put(data: bytes) -> None:
        gathered.extend(data)
        if len(gathered) >= PIECE_BYTES:
            await flush()

    async def flush() -> None:
        await room.acquire()
        pieces.put_nowait(bytes(gathered))
        gathered.clear()

    async def run() -> None:
        await copy(put)
        if gathered:
            await flush()

    running = asyncio.create_task(run())
    running.add_done_callback(lambda _: pieces.put_nowait(None))
    try:
        while (piece := await pieces.get()) is not None:
            yield piece
            room.release()
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
