"""Values that are kept in memory with the version of the rows that they were computed from."""

from collections import OrderedDict
from typing import Any

CACHE_BYTES_MAX = 64_000_000


class VersionedCache:
    """Returns a value only for the version at which it was stored, so that it equals what the session's snapshot has.

    A key is the kind of value, the id of the session's organization, and what selects the value. So every value is of rows
    that row-level security showed to this organization. Forgets the values that were used longest ago once the sum of their
    sizes exceeds `bytes_max`.
    """

    def __init__(self, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[tuple[object, ...], tuple[object, Any, int]] = OrderedDict()

    def get(self, key: tuple[object, ...], version: object) -> Any:
        """The value; None if there is none for this version."""
        kept = self._kept.get(key)
        if kept is None or kept[0] != version:
            return None
        self._kept.move_to_end(key)
        return kept[1]

    def put(self, key: tuple[object, ...], version: object, value: Any, size: int) -> None:
        """Keep the value, of about `size` bytes, instead of an earlier one."""
        before = self._kept.pop(key, None)
        self._bytes += size - (before[2] if before else 0)
        self._kept[key] = (version, value, size)
        while self._bytes > self._bytes_max and len(self._kept) > 1:
            _, (_, _, freed) = self._kept.popitem(last=False)
            self._bytes -= freed
