"""Uses of people in the order of a log: sessions of one person with one or two series, side by side."""

from bisect import bisect
from collections.abc import Iterator
from functools import cache
from heapq import heappop, heappush
from itertools import accumulate
from random import Random
from typing import NamedTuple

LENGTHS = (1, 1, 1, 2, 3, 4, 6, 10)
"""Uses of a session: those of the simulator. WildChat has 2.5 turns per conversation, and a turn may be several uses."""
SERIES = 6
"""Series that a person uses, the first ones most."""
LOG_S = 600
"""The log has so many seconds of usage."""


class Use(NamedTuple):
    organization: int
    place: int
    """Of the series, inside its organization."""
    person: int
    run: int | None


class _Session(NamedTuple):
    due: float
    """Number of the next use in the log."""
    tie: float
    organization: int
    person: int
    places: tuple[int, int]
    run: int | None
    left: int


def draw_uses(
    chance: Random, events: int, organizations: int, series: int, people: int, few: int, large: int, runs: float
) -> Iterator[Use]:
    """Endless. `people` in each of the `large` first organizations, `few` in the others; each organization has `series`
    series; `runs` is the share of sessions that are a run, and changes nothing else."""
    per_second, open_sessions, number = events / LOG_S, list[_Session](), 0
    while True:
        if open_sessions and open_sessions[0].due <= number:
            session = heappop(open_sessions)
        else:
            organization = int(organizations * chance.random() ** 2)
            weights = _weights(people if organization < large else few)
            person = bisect(weights, chance.random() * weights[-1])
            first, second = (_place_of(organization, person, int(SERIES * chance.random() ** 2), series) for _ in "12")
            run = chance.getrandbits(64)
            is_run = chance.random() < runs
            session = _Session(
                number, 0.0, organization, person, (first, second), run if is_run else None, chance.choice(LENGTHS)
            )
        yield Use(session.organization, session.places[chance.random() < 1 / 3], session.person, session.run)
        number += 1
        if session.left > 1:
            pause_s = 0.5 + 60 * chance.random() ** 3
            later = session._replace(due=number + pause_s * per_second, tie=chance.random(), left=session.left - 1)
            heappush(open_sessions, later)


def _place_of(organization: int, person: int, turn: int, series: int) -> int:
    """The series that a person uses most, second most, ..., by `turn`."""
    return (organization * 31 + person * 7919 + turn * 104_729) % series


@cache
def _weights(people: int) -> list[float]:
    """Cumulated: the first people use more than a hundred times as much as the last of 5,000, as in the simulator."""
    return list(accumulate(1 / (place + 12) for place in range(people)))
