"""Which new attributions and series an organization may use in a month. Pure.

Each of them is a row that is never deleted, and so are its days. Labels, actors, features or agents that differ in each
event would fill the disk and the memory that all organizations share.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Generic, Protocol, TypeVar

ATTRIBUTIONS_PER_MONTH = 50_000
"""New attributions of an organization per month. People without labels may take as many again."""
SERIES_PER_MONTH = 50_000
"""New series of an organization per month. Features without agents may take as many again."""

Month = tuple[str, date]
"""Organization and month (UTC) of receipt."""


def month_of(received: float) -> date:
    """The month (UTC) of a receipt."""
    return _month_of_day(int(received // 86_400))


@lru_cache(1_000)
def _month_of_day(day: int) -> date:
    return datetime.fromtimestamp(day * 86_400, UTC).date().replace(day=1)


class Foldable(Protocol):
    """An attribution or a series."""

    @property
    def organization(self) -> str: ...
    def fold_part(self: "KeyT") -> "KeyT": ...
    def fold_all(self: "KeyT") -> "KeyT": ...
    def __hash__(self) -> int: ...


KeyT = TypeVar("KeyT", bound=Foldable)


class Admission(Generic[KeyT]):
    """Decides what new keys are recorded as. `used` are the numbers of new ones so far.

    Beyond the limit, a key is recorded as its fold_part(): without the labels of an attribution, or the agent of a series.
    Beyond twice the limit, it is recorded as its fold_all(), of which there are few.
    """

    def __init__(self, used: Mapping[Month, int], known: Collection[KeyT], most: int) -> None:
        self.created: dict[KeyT, Month] = {}
        """The keys to create."""
        self.folded: Counter[Month] = Counter()
        """Number of keys that are recorded as another one."""
        self._used = Counter(used)
        self._known = known
        self._most = most

    def admit(self, key: KeyT, month: date) -> KeyT:
        """The key under which usage of `key`, which has no row yet, is recorded."""
        place = key.organization, month
        if key in self.created:
            return key
        if self._used[place] < self._most:
            return self._create(key, place)
        kept = key.fold_part()
        if kept not in self._known and kept not in self.created:
            if self._used[place] < 2 * self._most:
                self._create(kept, place)
            else:
                kept = key.fold_all()
                if kept not in self._known:
                    self.created[kept] = place
        self.folded[place] += kept != key
        return kept

    def _create(self, key: KeyT, place: Month) -> KeyT:
        self._used[place] += 1
        self.created[key] = place
        return key
