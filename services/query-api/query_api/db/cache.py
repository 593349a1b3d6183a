"""Values that are kept in memory with the version of the rows that they were computed from."""

from asyncio import Lock
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from query_api.db.shares import Shares

CACHE_BYTES_MAX = 64_000_000
Key = tuple[object, ...]


class Kept(NamedTuple):
    version: object
    value: Any
    size: int


class VersionedCache:
    """Returns a value only for the version at which it was stored, so that it equals what the session's snapshot has.

    A key is the kind of value, the id of the session's organization, and what selects the value. So every value is of rows
    that row-level security showed to this organization. Once the sum of sizes exceeds `bytes_max`, it forgets values that were
    used longest ago, as Shares says.
    """

    def __init__(self, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._kept: dict[Key, Kept] = {}
        self._shares: Shares[Key] = Shares(bytes_max, lambda key: key[1])
        self._locks: WeakValueDictionary[Hashable, Lock] = WeakValueDictionary()

    def alone(self, wanted: Sequence[tuple[Key, Hashable]]) -> Lock:
        """To be held while values are computed, by key and version. Other requests that want the same values wait, and then
        get() has them."""
        which = tuple(wanted)
        lock = self._locks.get(which)
        if lock is None:
            lock = self._locks[which] = Lock()
        return lock

    def get(self, key: Key, version: object) -> Any:
        """The value; None if there is none for this version."""
        kept = self._kept.get(key)
        if kept is None or kept.version != version:
            return None
        self._shares.use(key)
        return kept.value

    def put(self, key: Key, version: object, value: Any, size: int) -> None:
        """Keep the value, of about `size` bytes, instead of an earlier one."""
        self._kept[key] = Kept(version, value, size)
        self._shares.put(key, size)
        while len(self._kept) > 1 and (forgotten := self._shares.forget_excess()) is not None:
            del self._kept[forgotten]
