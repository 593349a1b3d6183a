"""Usage of a range by row and person, in arrays. Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from query_api.attributions.domain.tally import Tally

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

NOTHING: Numbers = np.zeros(0, np.int64)
FOLD_BYTES = 1_000
"""Of an empty one."""


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


NO_USE = Fold(NOTHING, NOTHING, NOTHING.astype(np.bool_), NOTHING, NOTHING.astype(np.bool_), (NOTHING, NOTHING))


def grown(numbers: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    """The array with zeros up to `size`."""
    return np.concatenate([numbers, np.zeros(size - len(numbers), numbers.dtype)])
