"""How consumption is distributed over people, and who changed most. Pure."""

from collections.abc import Callable, Iterable, Sequence
from heapq import nlargest
from itertools import pairwise
from operator import sub
from typing import NamedTuple

from query_api.attributions.domain.tally import PeopleRow, flatten

EDGES = (0, 1, 10, 25, 50, 100)
"""Edges of the bands, in percent of people, from those with most credits."""

MOVERS_MAX = 10


class Band(NamedTuple):
    """People whose rank by credits is above `from_percent` and not above `to_percent` of all people, from the top."""

    from_percent: int
    to_percent: int
    people: int
    credits: int
    least: int | None
    """Credits of the band's person with fewest; None without people."""


def cut_bands(credits: Iterable[int]) -> list[Band]:
    """Bands of people by their credits. Each person is in one band; an edge inside a person is rounded up."""
    ordered = sorted(credits, reverse=True)
    number, bands = len(ordered), []
    for low, high in pairwise(EDGES):
        inside = ordered[-(-number * low // 100) : -(-number * high // 100)]
        bands.append(Band(low, high, len(inside), sum(inside), inside[-1] if inside else None))
    return bands


def find_most_changed(
    rows: Sequence[int],
    credits: Sequence[int],
    previous: Sequence[int],
    order: Callable[[int], tuple[str, str]],
    top: int = MOVERS_MAX,
) -> list[int]:
    """As find_movers, of row numbers."""
    changes = list(map(abs, map(sub, credits, previous)))
    least = max(1, min(nlargest(top, map(changes.__getitem__, rows)), default=1))
    changed = [row for row in rows if changes[row] >= least]
    return sorted(changed, key=lambda row: (-changes[row], order(row)))[:top]


def find_movers(rows: Sequence[PeopleRow], top: int = MOVERS_MAX) -> list[PeopleRow]:
    """The rows whose credits changed most against the previous range, up or down; largest change first.

    Of a tree, groups at every level, without rows of their own usage or of small groups.
    """
    moved = [
        row for row in flatten(rows) if row.tally.credits != row.tally.previous and row.kind not in ("own", "small")
    ]
    moved.sort(key=lambda row: (-abs(row.tally.credits - row.tally.previous), row.id, row.kind))
    return moved[:top]
