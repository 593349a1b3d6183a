"""Which new attributions an organization may use in a month. Pure.

Each attribution is a row that is never deleted, and so are its days. Labels, actors or groups that differ in each event
would fill the disk that all organizations share.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache

from aggregator.domain.people.attribution import Attribution

ATTRIBUTIONS_PER_MONTH = 50_000
"""New attributions of an organization per month. People without labels may take as many again."""

Month = tuple[str, date]
"""Organization and month (UTC) of receipt."""


def month_of(received: float) -> date:
    """The month (UTC) of a receipt."""
    return _month_of_day(int(received // 86_400))


@lru_cache(1_000)
def _month_of_day(day: int) -> date:
    return datetime.fromtimestamp(day * 86_400, UTC).date().replace(day=1)


class Admission:
    """Decides what new attributions are recorded as. `used` are the numbers of new ones so far.

    Beyond the limit, labels are folded into one attribution per actor and group. Beyond twice the limit, new actors and
    groups are folded into one attribution per organization.
    """

    def __init__(self, used: Mapping[Month, int], known: Collection[Attribution], most: int) -> None:
        self.created: dict[Attribution, Month] = {}
        """The attributions to create."""
        self.folded: Counter[Month] = Counter()
        """Number of attributions that are recorded as another one."""
        self._used = Counter(used)
        self._known = known
        self._most = most

    def admit(self, key: Attribution, month: date) -> Attribution:
        """The attribution under which usage of `key`, which has no row yet, is recorded."""
        place = key.organization, month
        if key in self.created:
            return key
        if self._used[place] < self._most:
            return self._create(key, place)
        kept = key.fold_labels()
        if kept not in self._known and kept not in self.created:
            if self._used[place] < 2 * self._most:
                self._create(kept, place)
            else:
                kept = key.fold_all()
                if kept not in self._known:
                    self.created[kept] = place
        self.folded[place] += kept != key
        return kept

    def _create(self, key: Attribution, place: Month) -> Attribution:
        self._used[place] += 1
        self.created[key] = place
        return key
