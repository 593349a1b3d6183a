"""Usage of a range by row and person, in arrays. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from query_api.attributions.domain.crowd import Crowd
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
    """Each row with each person of it, once, sorted; None in the view by person."""

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

    def people_of_rows(self, people: Sequence[str]) -> Mapping[int, Crowd]:
        return {} if self.pairs is None else group_people(*self.pairs, people)


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
        fold.pairs = find_pairs(usage.rows[is_by_person], used_by)
    return fold


def find_pairs(rows: Numbers, people: Numbers, credits: Numbers | None = None) -> tuple[Numbers, Numbers]:
    """Each row with each person of it, once, sorted. With `credits`, only those whose sum is not 0."""
    size = int(people.max(initial=0)) + 1
    keys = rows * size + people
    if credits is None or (credits > 0).all():
        keys = np.sort(keys)
        firsts = find_firsts(keys)  # np.unique() takes ten times as long
    else:
        order = np.argsort(keys)
        keys = keys[order]
        firsts = find_firsts(keys)
        firsts = firsts[np.add.reduceat(credits[order], firsts) != 0]
    return np.divmod(keys[firsts], size)


def find_firsts(ordered: Numbers) -> Numbers:
    """Where each of the numbers, which are sorted and not negative, begins."""
    return np.flatnonzero(np.diff(ordered, prepend=-1))


def group_people(rows: Numbers, numbers: Numbers, people: Sequence[str]) -> dict[int, Crowd]:
    """The people of each row, of find_pairs()."""
    if not len(rows):
        return {}
    names = [people[number] for number in numbers.tolist()]
    firsts = find_firsts(rows)
    lasts = [*firsts[1:].tolist(), len(names)]
    return {
        row: Crowd(names[first:last])
        for row, first, last in zip(rows[firsts].tolist(), firsts.tolist(), lasts, strict=True)
    }


def tally_month(usage: Usage, keys: Sequence[RowKey], people: Sequence[str]) -> dict[RowKey, Tally]:
    """Tallies of the rows with usage in a whole month, which is one cell of each row (see privacy.py)."""
    rows, persons, credits, events = usage
    size = int(rows.max(initial=-1)) + 1
    sums = np.zeros((2, size), np.int64)
    np.add.at(sums[0], rows, credits)
    np.add.at(sums[1], rows, events)
    is_by_person = (persons != NO_PERSON) & ((credits != 0) | (events != 0))
    has_people = np.bincount(rows[is_by_person], minlength=size) > 0
    is_known = persons >= 0
    crowds = group_people(*find_pairs(rows[is_known], persons[is_known], credits[is_known]), people)
    tallies, used = dict[RowKey, Tally](), np.flatnonzero(np.bincount(rows, minlength=size))
    columns = (used, sums[0][used], sums[1][used], has_people[used])
    for row, sum_of, uses, has in zip(*(column.tolist() for column in columns), strict=True):
        crowd = crowds.get(row, Crowd())
        tallies[keys[row]] = Tally(sum_of, uses, people=crowd, has_people=has, cells={"": crowd} if has else {})
    return tallies


NO_USE = Fold(NOTHING, NOTHING, NOTHING.astype(np.bool_), NOTHING, NOTHING.astype(np.bool_), (NOTHING, NOTHING))


def grown(numbers: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    """The array with zeros up to `size`."""
    return np.concatenate([numbers, np.zeros(size - len(numbers), numbers.dtype)])
