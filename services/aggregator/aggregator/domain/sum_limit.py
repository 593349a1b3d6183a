"""Limits the sums of an organization: usage beyond the limit is held, so that no sum overflows. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from aggregator.domain.rollup import Decision, Rollups

SUM_LIMIT = "sum_limit"
"""The reason for holding usage that no sum can take."""
SUM_MAX = 10**18
"""Micro-credits, 10^12 credits. Any sum of usage and corrections of an organization, in any table, grain or period,
stays far below 2^63."""
UNCHECKED_MAX = 10**16
"""Micro-credits that a batch may add to an organization before its sums are checked: several aggregators may do so at
once."""

FAR_MAX = SUM_MAX // 2
SMALL_MAX = 10**13
FAR_S = 60.0
"""The sums of an organization below FAR_MAX are not checked again for this time while each batch adds at most
SMALL_MAX: 50,000 such batches, of all aggregators together, lead from there to the limit."""

Rooms = dict[int, int]
"""By organization near the limit: the micro-credits that it can still count."""


class Gross(NamedTuple):
    """The sums of an organization in micro-credits, and when they were read, in monotonic seconds."""

    credits: int
    seen: float


class SumLimit(Exception):
    """The sums of these organizations may not be able to take this batch: decide it again with their rooms."""

    def __init__(self, organizations: Iterable[int]) -> None:
        self.organizations = frozenset(organizations)
        super().__init__(f"{len(self.organizations)} organizations reach the limit of their sums")


def check_batch(rollups: Rollups, rooms: Mapping[int, int]) -> None:
    """Raise SumLimit when the batch alone adds more than UNCHECKED_MAX to an organization without a room."""
    sums: dict[int, int] = {}
    for (organization_id, *_), (credits, _) in rollups.organization_days.items():
        sums[organization_id] = sums.get(organization_id, 0) + abs(credits)
    if beyond := [at for at, credits in sums.items() if credits > UNCHECKED_MAX and at not in rooms]:
        raise SumLimit(beyond)


def is_far(gross: Gross | None, added: int, now: float) -> bool:
    """Whether a batch that adds `added` micro-credits need not check the sums of its organization."""
    return gross is not None and gross.credits < FAR_MAX and now - gross.seen < FAR_S and added <= SMALL_MAX


def added_to(organization_id: int, rollups: Rollups) -> int:
    """An upper bound of the change of an organization's sums by a batch."""
    days = sum(abs(cell[0]) for key, cell in rollups.organization_days.items() if key[0] == organization_id)
    return days + 2 * sum(abs(cell[0]) for key, cell in rollups.corrections.items() if key[0] == organization_id)


def fit(decision: Decision, rooms: Rooms) -> Decision:
    """The decision, or the same use held if its organization has no room for it. Reduces the room by the credits that
    count."""
    room = rooms.get(decision.organization_id)
    if room is None or decision.waits_for:
        return decision
    if abs(decision.credits) > room:
        return decision._replace(credits=0, rate_id=None, unit_rates=None, waits_for=SUM_LIMIT)
    rooms[decision.organization_id] = room - abs(decision.credits)
    return decision


def fit_all(decisions: list[Decision], rooms: Rooms) -> list[Decision]:
    """Apply fit in the order of the log, whatever the order of `decisions`."""
    if not rooms:
        return decisions
    return [fit(at, rooms) for at in sorted(decisions, key=lambda at: (at.use.partition, at.use.offset))]
