"""A file of the spool: records of length, checksum and event, only ever appended to."""

import logging
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

LOG = logging.getLogger("flexcredits_client")
HEAD = Struct("<II")
"""Bytes of the event, and the CRC-32 of the event."""
READ_BYTES = 1024 * 1024


class DamagedSegment(Exception):
    """A record in the middle of the file has a wrong length or checksum. `offset` is where it begins."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the record at byte {offset} has a wrong length or checksum")
        self.offset = offset


class Segment:
    """One file, read from its beginning while it may still grow."""

    def __init__(self, path: Path, *, is_new: bool) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CLOEXEC
        self._fd = os.open(path, flags | (os.O_CREAT | os.O_EXCL if is_new else 0), 0o600)
        self.end = os.fstat(self._fd).st_size
        self._read_at = 0
        self.unread = 0
        """Records that are stored and were not read yet."""
        self.unresolved = 0
        """Records that were stored and are not resolved."""
        self._is_torn = False

    def append(self, event: bytes) -> None:
        """Raises OSError, and then the event is not in the file."""
        record = HEAD.pack(len(event), zlib.crc32(event)) + event
        size = len(record)
        if self._is_torn:  # the disk was full, or a signal's handler raised an exception here
            os.ftruncate(self._fd, self.end)
        self._is_torn = True
        written = os.pwrite(self._fd, record, self.end)
        if written != size:
            raise OSError(f"only {written} of {size} bytes were written to {self.path}")
        # No call from here on: a signal is handled only at calls, so the counters agree with the file.
        self.end += size
        self.unread += 1
        self.unresolved += 1
        self._is_torn = False

    def take_back(self, event: bytes) -> None:
        """Remove the last event, which was not read yet."""
        self._is_torn = True
        self.end -= HEAD.size + len(event)
        self.unread -= 1
        self.unresolved -= 1
        os.ftruncate(self._fd, self.end)

    def sync(self) -> None:
        os.fsync(self._fd)

    def read(self) -> Iterator[bytes]:
        """Events that were not read yet."""
        while self._read_at < self.end:
            block = os.pread(self._fd, min(READ_BYTES, self.end - self._read_at), self._read_at)
            at = 0
            while at + HEAD.size <= len(block):
                size, _ = HEAD.unpack_from(block, at)
                if at + HEAD.size + size > len(block):
                    break
                yield self._take(block[at + HEAD.size : at + HEAD.size + size])
                at += HEAD.size + size
            if not at:  # a record longer than a block
                size, _ = HEAD.unpack_from(block)
                yield self._take(os.pread(self._fd, size, self._read_at + HEAD.size))

    def _take(self, event: bytes) -> bytes:
        self._read_at += HEAD.size + len(event)
        self.unread -= 1
        return event

    def recover(self) -> None:
        """Check every record of a file that another process has left. A torn record at its end was never acknowledged,
        and is ignored. Raises DamagedSegment for any other, and then ends before it."""
        at = count = 0
        try:
            while size := self._check(at):
                at += HEAD.size + size
                count += 1
        finally:
            if at < self.end:
                LOG.warning("%s: %d bytes at its end are no complete record, and are ignored", self.path, self.end - at)
            self.end, self.unread, self.unresolved = at, count, count

    def _check(self, at: int) -> int:
        """Size of the event of the record that begins here; 0 at the end. Raises DamagedSegment."""
        head = os.pread(self._fd, HEAD.size, at)
        if len(head) < HEAD.size:
            return 0
        size, checksum = HEAD.unpack(head)
        if at + HEAD.size + size > self.end:
            if self._has_record(at + HEAD.size):
                raise DamagedSegment(at)
            return 0
        if size and zlib.crc32(os.pread(self._fd, size, at + HEAD.size)) == checksum:
            return int(size)
        if self._is_tail(at, size):
            return 0
        raise DamagedSegment(at)

    def _has_record(self, start: int) -> bool:
        """Whether a whole record begins after `start`: then the length before it is damaged, and not torn. Lengths below
        16 MiB have a zero as their fourth byte, which JSON has not."""
        rest = os.pread(self._fd, self.end - start, start).rstrip(b"\0")
        zero = rest.find(b"\0", 3)
        while 0 <= zero <= len(rest) - HEAD.size:
            size, checksum = HEAD.unpack_from(rest, zero - 3)
            event = rest[zero - 3 + HEAD.size :][:size]
            if 0 < size == len(event) and zlib.crc32(event) == checksum:
                return True
            zero = rest.find(b"\0", zero + 1)
        return False

    def _is_tail(self, at: int, size: int) -> bool:
        """Whether the file has nothing after this record but zeros, with which a power failure leaves a file's end."""
        after = at + HEAD.size + size
        return not os.pread(self._fd, self.end - after, after).strip(b"\0")

    def close(self) -> None:
        os.close(self._fd)
