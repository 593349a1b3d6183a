"""Events in files, until the service has answered: a crash of the process loses none that `record` has taken.

Each process has a folder of its own (`slot-000`, ...), which it holds by a lock (flock). A process that starts also takes
over the events of folders whose process is gone.
"""

import fcntl
import logging
import os
import shutil
import time
from collections import deque
from itertools import count, islice
from pathlib import Path

from flexcredits_client.buffers.memory import fitting
from flexcredits_client.buffers.segment import HEAD, DamagedSegment, Segment

LOG = logging.getLogger("flexcredits_client")
SEGMENT_BYTES = 4 * 1024 * 1024
PROCESSES_MAX = 1000


class Spool:
    """Bounded by bytes. Reads at most a batch of events into memory."""

    is_durable = True

    def __init__(self, folder: Path, bytes_max: int, fsync_s: float | None) -> None:
        """Raises OSError if the folder cannot be written."""
        self._bytes_max, self._fsync_s = bytes_max, fsync_s
        self._synced_at = time.monotonic()
        self._unsynced = False
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock: int | None
        self._slot, self._lock = own_slot(folder)
        adopt_others(folder, self._slot)
        if fsync_s is not None:
            for each in (self._slot, folder, folder.parent):
                sync_folder(each)
        self._segments: deque[Segment] = deque()
        self._head: deque[bytes] = deque()
        self._last = -1
        for path in segment_paths(self._slot):
            self._last = number_of(path)
            self._recover(path)
        self._is_writable = False
        """Whether the last segment is ours to append to: what a dead process left may end in a torn record."""

    def _recover(self, path: Path) -> None:
        segment = Segment(path, is_new=False)
        try:
            segment.recover()
        except DamagedSegment as damage:
            LOG.error("%s: %s. What follows is not sent; the file is kept as %s", path, damage, keep(path))
        if segment.unread:
            self._segments.append(segment)
        else:
            segment.close()
            path.unlink()

    def append(self, event: bytes) -> None:
        if not self._is_writable or self._segments[-1].end >= SEGMENT_BYTES:
            self._start_segment()
        self._segments[-1].append(event)
        self._unsynced = True
        try:
            self._sync_if_due()
        except OSError:  # the caller gets the error: the event is not here
            self._segments[-1].take_back(event)
            raise

    def _start_segment(self) -> None:
        self._sync()
        # Counted first: a signal's handler that raises an exception may leave the new file behind, empty.
        self._last += 1
        self._segments.append(Segment(self._slot / f"{self._last:012d}.log", is_new=True))
        self._is_writable = True
        if self._fsync_s is not None:
            sync_folder(self._slot)

    def _sync_if_due(self) -> None:
        if self._fsync_s is not None and time.monotonic() - self._synced_at >= self._fsync_s:
            self._sync()

    def _sync(self) -> None:
        if self._unsynced and self._fsync_s is not None and self._is_writable:
            self._segments[-1].sync()
        self._unsynced, self._synced_at = False, time.monotonic()

    def keep_synced(self, limit_s: float | None) -> float | None:
        try:
            self._sync_if_due()
        except OSError:  # of events that were taken: sending them is what can still be done
            LOG.exception("events in %s could not be written to the disk", self._slot)
            self._synced_at = time.monotonic()
        if self._fsync_s is None or not self._unsynced:
            return limit_s
        due_s = max(0.0, self._synced_at + self._fsync_s - time.monotonic())
        return due_s if limit_s is None else min(due_s, limit_s)

    def has_room(self, size: int) -> bool:
        return not self._segments or self.bytes + HEAD.size + size <= self._bytes_max

    def head(self, count: int, size: int) -> list[bytes]:
        self.keep_synced(None)
        for segment in self._segments:
            if len(self._head) >= count:
                break
            if segment.unread:
                self._head.extend(islice(segment.read(), count - len(self._head)))
        return fitting(islice(self._head, count), size)

    def drop(self, count: int) -> None:
        for _ in range(count):
            self._head.popleft()
            first = self._segments[0]
            first.unresolved -= 1
            if not first.unresolved:
                self._remove_first()

    def _remove_first(self) -> None:
        """Remove the first segment, all of whose events are resolved. A crash before leads to copies, which are counted
        once."""
        segment = self._segments.popleft()
        segment.close()
        segment.path.unlink(missing_ok=True)
        if not self._segments:
            self._is_writable = self._unsynced = False

    def __len__(self) -> int:
        return sum(segment.unresolved for segment in self._segments)

    @property
    def bytes(self) -> int:
        """Size of the files, which have events that are resolved too."""
        return sum(segment.end for segment in self._segments)

    def close(self) -> None:
        self._sync()
        self.abandon()

    def abandon(self) -> None:
        for segment in self._segments:
            segment.close()
        self._segments.clear()
        self._head.clear()
        self._is_writable = self._unsynced = False
        if self._lock is not None:
            os.close(self._lock)  # in a forked child it is a copy, and the parent's lock stays
            self._lock = None


def own_slot(folder: Path) -> tuple[Path, int]:
    """The first folder that no living process holds, and the descriptor that holds it from now on."""
    for number in range(PROCESSES_MAX):
        slot = folder / f"slot-{number:03d}"
        slot.mkdir(mode=0o700, exist_ok=True)
        if (lock := try_lock(slot)) is not None:
            return slot, lock
    raise OSError(f"{folder} is used by {PROCESSES_MAX} processes")


def try_lock(slot: Path) -> int | None:
    lock = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def adopt_others(folder: Path, own: Path) -> None:
    """Move the events of processes that are gone into the own slot. Each move is atomic."""
    for slot in sorted(folder.glob("slot-*")):
        if slot == own or not segment_paths(slot) or (lock := try_lock(slot)) is None:
            continue
        following = max((number_of(path) for path in segment_paths(own)), default=-1) + 1
        for path in segment_paths(slot):
            path.rename(own / f"{following:012d}.log")
            following += 1
        os.close(lock)


def keep(path: Path) -> Path:
    """A second name for a damaged file, which keeps it; the same one if it has a name already. Numbers begin again in an
    empty folder, so the name may be that of another file."""
    for number in count():
        kept = path.with_suffix(f".{number}.damaged" if number else ".damaged")
        if not kept.exists():
            try:
                kept.hardlink_to(path)
            except OSError:  # a file system without links
                shutil.copy2(path, kept)
            return kept
        if kept.samefile(path) or kept.read_bytes() == path.read_bytes():
            return kept
    raise AssertionError("the numbers do not end")


def segment_paths(slot: Path) -> list[Path]:
    return sorted(path for path in slot.glob("*.log") if path.stem.isdecimal())


def number_of(path: Path) -> int:
    return int(path.stem)


def sync_folder(folder: Path) -> None:
    """Without it, a power failure may lose the name of a new file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
