"""Usage of a range by row and person, in arrays. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from query_api.attributions.domain.tally import RowKey, Tally

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

NOTHING: Numbers = np.zeros(0, np.int64)
FOLD_BYTES = 1_000
"""Of an empty one."""
NO_PERSON, UNKNOWN = -1, -2
"""Instead of the number of a person. How many people are unknown, so they never make a row large enough to be shown."""


class Usage(NamedTuple):
    """Usage in a range, in micro-credits, in parallel columns. A row and person may occur several times."""

    rows: Numbers
    people: Numbers
    credits: Numbers
    events: Numbers


@dataclass(slots=True)
class Fold:
    """Usage of a range by row, and by person, in micro-credits. Rows and people that were added later have none."""

    credits: Numbers
    events: Numbers
    is_used: Flags
    """Whether a row has usage."""
    credits_by_person: Numbers
    has_used: Flags
    """Whether a person has usage."""
    pairs: tuple[Numbers, Numbers] | None
    """Each row with each person of it; None in the view by person."""

    @property
    def bytes(self) -> int:
        arrays = (
            self.credits, self.events, self.is_used, self.credits_by_person, self.has_used, *(self.pairs or ())
        )  # fmt: skip
        size: int = FOLD_BYTES + sum(numbers.nbytes for numbers in arrays)
        return size

    def credits_of_people(self) -> Numbers:
        """Of each person with usage."""
        return self.credits_by_person[self.has_used]

    def tally(self, row: int) -> Tally:
        if row >= len(self.credits):
            return Tally()
        return Tally(int(self.credits[row]), int(self.events[row]))

    def people_of_rows(self) -> dict[int, set[int]]:
        people: dict[int, set[int]] = {}
        if self.pairs is not None:
            for row, person in zip(*(numbers.tolist() for numbers in self.pairs), strict=True):
                people.setdefault(row, set()).add(person)
        return people


def fold_usage(usage: Usage, rows: int, people: int, *, counts_people: bool) -> Fold:
    """`rows` and `people`: how many there are. `counts_people`: whether rows contain several people."""
    fold = Fold(
        np.zeros(rows, np.int64), np.zeros(rows, np.int64), np.zeros(rows, np.bool_),
        np.zeros(people, np.int64), np.zeros(people, np.bool_), None,
    )  # fmt: skip
    np.add.at(fold.credits, usage.rows, usage.credits)
    np.add.at(fold.events, usage.rows, usage.events)
    fold.is_used[usage.rows] = True
    is_by_person = (usage.people >= 0) & ((usage.credits != 0) | (usage.events != 0))
    used_by = usage.people[is_by_person]
    np.add.at(fold.credits_by_person, used_by, usage.credits[is_by_person])
    fold.has_used[used_by] = True
    if counts_people:
        fold.pairs = usage.rows[is_by_person], used_by
    return fold


def tally_month(usage: Usage, keys: Sequence[RowKey], people: Sequence[str]) -> dict[RowKey, Tally]:
    """Tallies of the rows with usage in a whole month, which is one cell of each row (see privacy.py)."""
    credits, events, size = usage.credits, usage.events, int(usage.people.max(initial=0)) + 1
    is_by_person = (usage.people != NO_PERSON) & ((credits != 0) | (events != 0))
    with_people = set(usage.rows[is_by_person].tolist())
    rows, places = np.unique(usage.rows, return_inverse=True)
    sums = np.zeros((2, len(rows)), np.int64)
    np.add.at(sums[0], places, credits)
    np.add.at(sums[1], places, events)
    is_known = usage.people >= 0
    pairs, places = np.unique(usage.rows[is_known] * size + usage.people[is_known], return_inverse=True)
    of_pairs = np.zeros(len(pairs), np.int64)
    np.add.at(of_pairs, places, credits[is_known])
    pairs = pairs[of_pairs != 0]
    names, ends = [people[person] for person in (pairs % size).tolist()], np.searchsorted(pairs, (rows + 1) * size)
    tallies, first = dict[RowKey, Tally](), 0
    for row, sum_of, uses, last in zip(*(column.tolist() for column in (rows, *sums, ends)), strict=True):
        tally = tallies[keys[row]] = Tally(sum_of, uses, people=set(names[first:last]), has_people=row in with_people)
        if tally.has_people:
            tally.cells[""] = set(tally.people)
        first = last
    return tallies


NO_USE = Fold(NOTHING, NOTHING, NOTHING.astype(np.bool_), NOTHING, NOTHING.astype(np.bool_), (NOTHING, NOTHING))


def grown(numbers: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    """The array with zeros up to `size`."""
    return np.concatenate([numbers, np.zeros(size - len(numbers), numbers.dtype)])
