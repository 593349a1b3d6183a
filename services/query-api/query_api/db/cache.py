"""Values that are kept in memory with the version of the rows that they were computed from."""

from asyncio import Lock
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

CACHE_BYTES_MAX = 64_000_000
SHARES = 4
"""An organization that keeps more than this part of the cache is the first to lose values: it must not slow down others."""

Key = tuple[object, ...]


class Kept(NamedTuple):
    version: object
    value: Any
    size: int


class VersionedCache:
    """Returns a value only for the version at which it was stored, so that it equals what the session's snapshot has.

    A key is the kind of value, the id of the session's organization, and what selects the value. So every value is of rows
    that row-level security showed to this organization. Once the sum of sizes exceeds `bytes_max`, it forgets values that were
    used longest ago: of an organization with more than its share, else of all.
    """

    def __init__(self, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._keys_of: dict[object, OrderedDict[Key, None]] = {}
        """By organization, those used longest ago first."""
        self._bytes_of: dict[object, int] = {}
        self._large = set[object]()
        """Organizations with more than their share."""
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
        self._kept.move_to_end(key)
        self._keys_of[key[1]].move_to_end(key)
        return kept.value

    def put(self, key: Key, version: object, value: Any, size: int) -> None:
        """Keep the value, of about `size` bytes, instead of an earlier one."""
        if key in self._kept:
            self._forget(key)
        self._kept[key] = Kept(version, value, size)
        self._keys_of.setdefault(key[1], OrderedDict())[key] = None
        self._count(key[1], size)
        while self._bytes > self._bytes_max and len(self._kept) > 1:
            largest = max(self._large, key=lambda one: self._bytes_of[one], default=None)
            keys = self._keys_of.get(largest, ())
            self._forget(next(iter(keys if len(keys) > 1 else self._kept)))

    def _forget(self, key: Key) -> None:
        organization, kept = key[1], self._kept.pop(key)
        del self._keys_of[organization][key]
        self._count(organization, -kept.size)

    def _count(self, organization: object, size: int) -> None:
        self._bytes += size
        own = self._bytes_of[organization] = self._bytes_of.get(organization, 0) + size
        if own > self._bytes_max // SHARES:
            self._large.add(organization)
        else:
            self._large.discard(organization)
        if not self._keys_of[organization]:
            del self._keys_of[organization], self._bytes_of[organization]
