"""What is kept in memory of all organizations, and which of it is forgotten first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

SHARES = 4
"""An organization that keeps more than this part is the first to lose values: it must not slow down others."""

KeyT = TypeVar("KeyT", bound=Hashable)


class Shares(Generic[KeyT]):
    """Keys of kept values in the order of their last use, with the size of each."""

    def __init__(self, size_max: int, owner_of: Callable[[KeyT], Hashable]) -> None:
        """`owner_of` gives the organization of a key."""
        self.size = 0
        """Of all values."""
        self._size_max = size_max
        self._owner_of = owner_of
        self._sizes: OrderedDict[KeyT, int] = OrderedDict()
        self._keys_of: dict[Hashable, OrderedDict[KeyT, None]] = {}
        self._size_of: dict[Hashable, int] = {}
        self._large = set[Hashable]()
        """Organizations with more than their share."""

    def __len__(self) -> int:
        return len(self._sizes)

    def use(self, key: KeyT) -> None:
        self._sizes.move_to_end(key)
        self._keys_of[self._owner_of(key)].move_to_end(key)

    def put(self, key: KeyT, size: int) -> None:
        """Note the present size of a value, which was just used."""
        owner = self._owner_of(key)
        self._count(owner, size - self._sizes.get(key, 0))
        self._sizes[key] = size
        self._keys_of.setdefault(owner, OrderedDict())[key] = None
        self.use(key)

    def forget(self, key: KeyT) -> None:
        owner = self._owner_of(key)
        del self._keys_of[owner][key]
        self._count(owner, -self._sizes.pop(key))
        if not self._keys_of[owner]:
            del self._keys_of[owner], self._size_of[owner]

    def forget_excess(self) -> KeyT | None:
        """Forget one value if all together are too large, and return its key: the one used longest ago of the organization with
        the most, if that has more than its share in several values, else of all."""
        if self.size <= self._size_max:
            return None
        largest = max(self._large, key=lambda owner: self._size_of[owner], default=None)
        keys = self._keys_of.get(largest, ())
        key = next(iter(keys if len(keys) > 1 else self._sizes))
        self.forget(key)
        return key

    def _count(self, owner: Hashable, size: int) -> None:
        self.size += size
        own = self._size_of[owner] = self._size_of.get(owner, 0) + size
        if own > self._size_max // SHARES:
            self._large.add(owner)
        else:
            self._large.discard(owner)
