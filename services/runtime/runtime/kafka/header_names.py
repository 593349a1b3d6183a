"""Reads records whose header names are not UTF-8: aiokafka raises UnicodeDecodeError for them, which would stop the
partition for every sender.

Kafka's protocol calls a header name a string, and brokers do not check it.
"""

from collections.abc import Iterator
from struct import unpack_from
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords


def accept_any_header_name() -> None:
    """Let every aiokafka consumer of this process, also Faust's, read such records. Invalid bytes of a name become
    escapes: b"\\xff" is the name r"\\xff"."""
    fetcher.MemoryRecords = FetchedRecords


class FetchedRecords(MemoryRecords):  # type: ignore[misc]
    """The batches of one partition in a fetch response."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = memoryview(data)
        self._begin = 0

    def next_batch(self) -> "Batch":
        """The next batch; its length follows its first offset (KIP-98, record batch)."""
        begin = self._begin
        self._begin += 12 + unpack_from(">i", self._data, begin + 8)[0]
        return Batch(super().next_batch(), self._data[begin : self._begin])


class Batch:
    """A batch that aiokafka's fast parser reads, and from an unreadable record on, its Python parser."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        """The records. Some may come twice: aiokafka skips offsets that it has delivered."""
        try:
            yield from self._batch
        except (UnicodeDecodeError, CorruptRecordException):
            yield from LenientBatch(self._data)


class LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """A batch whose header names may have any bytes."""

    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = LenientBytes(self._buffer)


class LenientBytes(bytearray):
    """Bytes that decode without errors, as do their slices."""

    def __getitem__(self, at: Any) -> Any:
        part = super().__getitem__(at)
        return LenientBytes(part) if isinstance(at, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
