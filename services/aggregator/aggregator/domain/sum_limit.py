"""How much an organization's sums can keep: what is beyond is held, so that no sum of anything overflows. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from aggregator.domain.rollup import Decision, Rollups

SUM_LIMIT = "sum_limit"
"""What held usage waits for when no sum can keep it."""
SUM_MAX = 10**18
"""Micro-credits, 10^12 credits: whatever of an organization's usage and corrections is added up, in any table, grain or
period, stays far below 2^63."""
UNCHECKED_MAX = 10**16
"""What a batch may add to an organization before its sums are asked for: several aggregators may do so at once."""

FAR_MAX = SUM_MAX // 2
SMALL_MAX = 10**13
FAR_S = 60.0
"""An organization with sums below FAR_MAX is not asked again for so long while batches add no more than SMALL_MAX each: to
get from there to the limit takes 50,000 of them, from whichever aggregators."""

Rooms = dict[int, int]
"""By organization near the limit: how many micro-credits it can still count."""


class Gross(NamedTuple):
    """What an organization's sums came to, in micro-credits, at a monotonic second."""

    credits: int
    seen: float


class SumLimit(Exception):
    """The sums of these organizations may not keep this batch: decide it again with their rooms."""

    def __init__(self, organizations: Iterable[int]) -> None:
        self.organizations = frozenset(organizations)
        super().__init__(f"{len(self.organizations)} organizations reach the limit of their sums")


def check_batch(rollups: Rollups, rooms: Mapping[int, int]) -> None:
    """Raises SumLimit where a batch alone is out of all proportion."""
    sums: dict[int, int] = {}
    for (organization_id, *_), (credits, _) in rollups.organization_days.items():
        sums[organization_id] = sums.get(organization_id, 0) + abs(credits)
    if beyond := [at for at, credits in sums.items() if credits > UNCHECKED_MAX and at not in rooms]:
        raise SumLimit(beyond)


def is_far(gross: Gross | None, added: int, now: float) -> bool:
    """Whether a batch that adds so much need not ask for the sums of its organization."""
    return gross is not None and gross.credits < FAR_MAX and now - gross.seen < FAR_S and added <= SMALL_MAX


def added_to(organization_id: int, rollups: Rollups) -> int:
    """By how much a batch moves the sums of an organization at most."""
    days = sum(abs(cell[0]) for key, cell in rollups.organization_days.items() if key[0] == organization_id)
    return days + 2 * sum(abs(cell[0]) for key, cell in rollups.corrections.items() if key[0] == organization_id)


def fit(decision: Decision, rooms: Rooms) -> Decision:
    """The decision, or the same use held where its organization has no room for it; rooms shrink by what counts."""
    room = rooms.get(decision.organization_id)
    if room is None or decision.waits_for:
        return decision
    if abs(decision.credits) > room:
        return decision._replace(credits=0, rate_id=None, waits_for=SUM_LIMIT)
    rooms[decision.organization_id] = room - abs(decision.credits)
    return decision


def fit_all(decisions: list[Decision], rooms: Rooms) -> list[Decision]:
    """In the order of the log, whatever the order of `decisions`."""
    if not rooms:
        return decisions
    return [fit(at, rooms) for at in sorted(decisions, key=lambda at: (at.use.partition, at.use.offset))]
