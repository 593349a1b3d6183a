"""How consumption is distributed over people, and who changed most. Pure."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from query_api.attributions.domain.tally import PeopleRow, flatten

Numbers = np.ndarray[Any, np.dtype[np.int64]]

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


def cut_bands(credits: Numbers) -> list[Band]:
    """Bands of people by their credits. Each person is in one band; an edge inside a person is rounded up."""
    ordered = np.sort(credits)[::-1]
    number, bands = len(ordered), []
    for low, high in pairwise(EDGES):
        inside = ordered[-(-number * low // 100) : -(-number * high // 100)]
        bands.append(Band(low, high, len(inside), int(inside.sum()), int(inside[-1]) if len(inside) else None))
    return bands


def find_most_changed(
    rows: Numbers, changes: Numbers, order: Callable[[int], tuple[str, str]], top: int = MOVERS_MAX
) -> list[int]:
    """As find_movers, of row numbers with their absolute changes."""
    least = 1 if len(changes) <= top else max(1, np.partition(changes, -top)[-top])
    changed = changes >= least
    most = sorted(
        zip((-changes[changed]).tolist(), rows[changed].tolist(), strict=True),
        key=lambda each: (each[0], order(each[1])),
    )
    return [row for _, row in most[:top]]


def find_movers(rows: Sequence[PeopleRow], top: int = MOVERS_MAX) -> list[PeopleRow]:
    """The rows whose credits changed most against the previous range, up or down; largest change first.

    Of a tree, groups at every level, without rows of their own usage or of small groups.
    """
    moved = [
        row for row in flatten(rows) if row.tally.credits != row.tally.previous and row.kind not in ("own", "small")
    ]
    moved.sort(key=lambda row: (-abs(row.tally.credits - row.tally.previous), row.id, row.kind))
    return moved[:top]
