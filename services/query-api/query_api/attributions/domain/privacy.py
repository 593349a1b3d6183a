"""Merges rows about fewer than five people, for organizations that show groups only. Pure."""

from collections.abc import Sequence

from query_api.attributions.domain.spans import PEOPLE_MIN
from query_api.attributions.domain.tally import SMALL, PeopleRow, Tally, flatten, in_order, row_of


class TooFewPeople(Exception):
    """The answer would be about one to four people."""


def hide_small(rows: Sequence[PeopleRow]) -> list[PeopleRow]:
    """Sibling rows, with small ones merged into one, at every level. Raises TooFewPeople if all rows together are about one
    to four people.

    A row is small if it is about fewer than five people. If the merged row is small itself, the next smallest rows are
    merged as well: else it could be computed as the difference of its parent and the other rows.
    """
    if 0 < len(union_of(rows)) < PEOPLE_MIN:
        raise TooFewPeople(TooFewPeople.__doc__)
    return merge(rows)


def merge(rows: Sequence[PeopleRow]) -> list[PeopleRow]:
    """hide_small without its check."""
    shown: list[PeopleRow] = []
    merged: Tally | None = None
    for row in sorted(rows, key=lambda row: (len(row.tally.people), row.key)):
        is_short = merged is not None and 0 < len(merged.people) < PEOPLE_MIN
        if is_small(row) or (is_short and row.tally.people):
            merged = merged or Tally()
            merged.join(row.tally)
        else:
            shown.append(row)
    for row in shown:
        inside = merge(row.rows)
        row.rows = [] if [each.kind for each in inside] == ["small"] else inside
    return sorted([*shown, *([row_of(SMALL, merged)] if merged else [])], key=in_order)


def is_small(row: PeopleRow) -> bool:
    """A row of usage without group or value is small only if people are in it."""
    people = len(row.tally.people)
    return 0 < people < PEOPLE_MIN or (people == 0 and row.kind in ("group", "own", "value"))


def has_few_before(rows: Sequence[PeopleRow]) -> bool:
    """Whether a row's usage in the previous range is about one to four people."""
    return any(0 < len(row.tally.people_before) < PEOPLE_MIN for row in flatten(rows))


def union_of(rows: Sequence[PeopleRow]) -> set[str]:
    return set[str]().union(*(row.tally.people for row in rows))
