"""Merges rows about fewer than five people, for organizations that show groups only. Pure.

The unit is a month. A row is merged in each month in which one of its cells is about one to four people. A cell is the usage
with the same values of the dimensions that a request filters or divides by, shown or not. So answers for other months,
surfaces or features are sums of the same numbers, and their differences are about five people, too. A person counts in a cell
with a sum of credits other than 0: else a person whose usage was corrected to nothing would make four people look like five.

Which rows join small ones depends on the cells. So what the whole month merges, and the month divided by dimensions only, is
merged under finer cells, too: else days would add up to a group that the month has in Small groups.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from query_api.attributions.domain.crowd import Crowd
from query_api.attributions.domain.spans import PEOPLE_MIN, PeopleGroup
from query_api.attributions.domain.tally import INSIDE, SMALL, PeopleRow, RowKey, Tally, build_rows, build_tree, flatten

Month = TypeVar("Month")
DIMENSIONS = "\x1f"
"""Before each dimension of a cell, which begins with a day or bucket, or nothing (see sum_cells)."""


class TooFewPeople(Exception):
    """The answer would be about one to four people."""


class Published(NamedTuple):
    """What may be shown."""

    tallies: dict[RowKey, Tally]
    """Merged usage has the key SMALL, or ("small", "/GROUP") inside a group."""
    merged: frozenset[RowKey]
    """The rows that were merged in one month or more."""


def publish(months: Mapping[Month, Mapping[RowKey, Tally]], groups: Sequence[PeopleGroup] | None) -> Published:
    """Merge what must not be shown of the tallies of each month. `groups` None: rows are no tree. Raises TooFewPeople."""
    return join_months([publish_month(tallies, groups) for tallies in months.values()])


def publish_month(tallies: Mapping[RowKey, Tally], groups: Sequence[PeopleGroup] | None) -> Published:
    """Without cells. May be shown only as join_months() returns it."""
    merged = find_merged_of_month(tallies, groups)
    found: dict[RowKey, Tally] = {}
    for key, tally in tallies.items():
        own: RowKey = ("own", key[1])
        shown = merged.get(key) or (key[0] == "group" and merged.get(own)) or key
        found.setdefault(shown, Tally()).join(tally)
    for tally in found.values():
        tally.cells = {}
    return Published(found, frozenset(merged))


def find_merged_of_month(tallies: Mapping[RowKey, Tally], groups: Sequence[PeopleGroup] | None) -> dict[RowKey, RowKey]:
    """As find_merged(), with all that coarser cells merge."""
    cells = {cell for tally in tallies.values() for cell in tally.cells}
    merged: dict[RowKey, RowKey] = {}
    for part_of in (whole_month, dimensions_of):
        if len({part_of(cell) for cell in cells}) < len(cells):
            coarser = {key: with_cells(tally, part_of) for key, tally in tallies.items()}
            merged = find_merged(rows_of(coarser, groups), merged)
    return find_merged(rows_of(tallies, groups), merged)


def rows_of(tallies: Mapping[RowKey, Tally], groups: Sequence[PeopleGroup] | None) -> list[PeopleRow]:
    return build_rows(tallies) if groups is None else build_tree(tallies, groups)


def whole_month(_cell: str) -> str:
    return ""


def dimensions_of(cell: str) -> str:
    return cell.partition(DIMENSIONS)[2]


def with_cells(tally: Tally, part_of: Callable[[str], str]) -> Tally:
    """The people of a row in coarser cells, without its sums."""
    found = Tally()
    for cell, people in tally.cells.items():
        found.cells.setdefault(part_of(cell), Crowd()).join(people)
    return found


def join_months(months: Iterable[Published]) -> Published:
    """What may be shown of some months. Raises TooFewPeople."""
    found = Published({}, frozenset())
    for published in months:
        for key, tally in published.tallies.items():
            found.tallies.setdefault(key, Tally()).join(tally)
        found = found._replace(merged=found.merged | published.merged)
    if not people_of(found.tallies.values()).has(PEOPLE_MIN) and any(
        tally.has_people for tally in found.tallies.values()
    ):
        raise TooFewPeople(TooFewPeople.__doc__)
    return found


def find_merged(
    rows: Sequence[PeopleRow], before: Collection[RowKey] = (), into: RowKey = SMALL
) -> dict[RowKey, RowKey]:
    """Of sibling rows of a month, and the rows in them, those to merge, with the row into which they are merged.

    `before`: rows that are merged in any case.

    If a cell of the merged rows is about too few people together, other rows with usage in the cell are merged as well: else it
    could be computed as the difference of the parent and the other rows.
    """
    merged: dict[RowKey, RowKey] = {}
    sum_of_merged = Tally()
    joining = [row for row in rows if row.key in before or is_small(row)]
    left = [row for row in rows if not (row.key in before or is_small(row))]
    if joining:  # else no row can join, so their order does not matter, and their people need not be counted
        left.sort(key=lambda row: (len(people_in_cells(row.tally)), row.key))
    while joining:
        for row in joining:
            sum_of_merged.join(row.tally)
            merged |= {each.key: into for each in flatten([row])}
        short = few_of(sum_of_merged)
        joining = [row for row in left if not short.isdisjoint(row.tally.cells)][:1]
        left = [row for row in left if row not in joining]
    for row in left:
        merged |= find_merged(row.rows, before, ("small", INSIDE + row.id))
    return merged


def is_small(row: PeopleRow) -> bool:
    """A row of usage without group or value is small only if people are in it."""
    return bool(few_of(row.tally)) or (not row.tally.cells and row.kind in ("group", "own", "value"))


def few_of(tally: Tally) -> set[str]:
    """The cells about too few people. A cell without one has only usage that corrections have cancelled."""
    return {cell for cell, people in tally.cells.items() if not people.has(PEOPLE_MIN)}


def people_in_cells(tally: Tally) -> Crowd:
    people = Crowd()
    for crowd in tally.cells.values():
        people.join(crowd)
    return people


def people_of(tallies: Iterable[Tally]) -> Crowd:
    people = Crowd()
    for tally in tallies:
        people.join(tally.people)
    return people
