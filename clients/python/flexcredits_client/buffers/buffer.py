"""What both buffers do. Their owner has a lock; they have none."""

from typing import Protocol


class Buffer(Protocol):
    """A queue whose first events stay until they are dropped: an interrupted delivery loses none."""

    is_durable: bool
    """Events survive the end of the process."""

    def append(self, event: bytes) -> None:
        """Raises OSError if it cannot be stored; then it is not in the buffer."""

    def has_room(self, size: int) -> bool: ...

    def keep_synced(self, limit_s: float | None) -> float | None:
        """Write to the disk what is due. Seconds until the next write is due, at most `limit_s`; None: no limit."""

    def head(self, count: int, size: int) -> list[bytes]:
        """The first events: at most `count`, of at most `size` bytes together, but at least one if there is any."""

    def drop(self, count: int) -> None:
        """Remove the first events."""

    def __len__(self) -> int: ...

    @property
    def bytes(self) -> int: ...

    def close(self) -> None:
        """Release files. A durable buffer keeps its events."""

    def abandon(self) -> None:
        """In a forked child: release files without a change to what the parent sees."""
