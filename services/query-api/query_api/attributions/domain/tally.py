"""Adds up usage of attributions by person, group or value of a label. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from query_api.attributions.domain.crowd import Crowd
from query_api.attributions.domain.groups import find_parents
from query_api.attributions.domain.spans import PeopleGroup, Span, is_other, is_person

PeopleRowKind = Literal[
    "person",
    "service_account",
    "removed",
    "unattributed",
    "group",
    "own",
    "no_group",
    "small",
    "value",
    "no_value",
    "other",
]

UNATTRIBUTED: "RowKey" = ("unattributed", "unattributed")
REMOVED: "RowKey" = ("removed", "removed")
NO_GROUP: "RowKey" = ("no_group", "no_group")
NO_VALUE: "RowKey" = ("no_value", "no_value")
SMALL: "RowKey" = ("small", "small")
INSIDE = "/"
"""Prefix of the id of a row of small groups inside a group."""
OTHER: "RowKey" = ("other", "other")

NAMES: Mapping[str, str] = {
    "unattributed": "Unattributed",
    "removed": "Removed people",
    "no_group": "No group",
    "no_value": "No value",
    "small": "Small groups",
    "other": "Other",
}
"""Names of the rows that combine usage."""

PINNED: tuple[PeopleRowKind, ...] = ("removed", "small", "no_group", "no_value", "other", "unattributed")
"""Kinds of rows that combine usage, in the order in which they are shown. They are not sorted among the others."""

RowKey = tuple[PeopleRowKind, str]


class Use(NamedTuple):
    """Usage of an attribution in a range and in the range before, in micro-credits."""

    span: Span
    credits: int
    events: int
    previous: int
    previous_events: int


@dataclass(slots=True)
class Tally:
    """Sums of a row, and the people in it who were used in the range."""

    credits: int = 0
    events: int = 0
    previous: int = 0
    people: Crowd = field(default_factory=Crowd)
    has_people: bool = False
    """Whether a person used any of it."""
    cells: dict[str, Crowd] = field(default_factory=dict)
    """People by cell that a person used (see privacy.py), while only groups are shown. Those whose usage is cancelled by
    corrections are not counted."""

    def join(self, other: "Tally") -> None:
        self.credits += other.credits
        self.events += other.events
        self.previous += other.previous
        self.people.join(other.people)
        self.has_people |= other.has_people
        for cell, people in other.cells.items():
            self.cells.setdefault(cell, Crowd()).join(people)


@dataclass(slots=True)
class PeopleRow:
    """A row of the table; its child rows, if any, add up to it."""

    kind: PeopleRowKind
    id: str
    name: str
    tally: Tally
    rows: list["PeopleRow"] = field(default_factory=list)

    @property
    def key(self) -> RowKey:
        return self.kind, self.id


def key_by_person(span: Span) -> RowKey:
    if is_other(span):
        return OTHER
    if not span.actor:
        return UNATTRIBUTED
    if span.removed:
        return REMOVED
    return "person" if is_person(span) else "service_account", span.actor


def key_by_group(span: Span) -> RowKey:
    if is_other(span):
        return OTHER
    if span.group_id:
        return "group", span.group_id
    return NO_GROUP if span.actor else UNATTRIBUTED


def key_by_value(span: Span) -> RowKey:
    if span.value == "":
        return OTHER
    return NO_VALUE if span.value is None else ("value", span.value)


def add_up(uses: Iterable[Use], key_of: Callable[[Span], RowKey]) -> dict[RowKey, Tally]:
    tallies, people = dict[RowKey, Tally](), dict[RowKey, set[str]]()
    for span, credits, events, previous, _ in uses:
        key = key_of(span)
        tally = tallies.get(key)
        if tally is None:
            tally = tallies[key] = Tally()
        tally.credits += credits
        tally.events += events
        tally.previous += previous
        if is_person(span) and (events or credits):
            people.setdefault(key, set()).add(span.actor)
    for key, used_by in people.items():
        tallies[key].people, tallies[key].has_people = Crowd(used_by), True
    return tallies


def build_rows(tallies: Mapping[RowKey, Tally]) -> list[PeopleRow]:
    """A row for each key, named by its id, highest credits first."""
    return sorted((row_of(key, tally) for key, tally in tallies.items()), key=in_order)


def build_tree(tallies: Mapping[RowKey, Tally], groups: Sequence[PeopleGroup]) -> list[PeopleRow]:
    """Rows of the groups with usage and of the groups above them, highest credits first, and the other rows beside the roots.

    A group's row includes the groups below it. Its own usage is then a row of kind `own` among them. Usage of a key
    ("small", "/GROUP") is a row of kind `small` inside the group.
    """
    own = {row_id: tally for (kind, row_id), tally in tallies.items() if kind == "group"}
    small = {
        row_id.removeprefix(INSIDE): tally
        for (kind, row_id), tally in tallies.items()
        if kind == "small" and row_id.startswith(INSIDE)
    }
    names, parents = {group.group_id: group.name for group in groups}, find_parents(groups)
    children: dict[str | None, list[str]] = {}
    placed = set[str]()
    for group in (*own, *small):
        at: str | None = group
        while at is not None and at not in placed:
            placed.add(at)
            parent = parents.get(at)
            children.setdefault(parent, []).append(at)
            at = parent

    def rows_of(parent: str | None) -> tuple[list[PeopleRow], Tally]:
        rows, total = [], Tally()
        for group in children.get(parent, ()):
            inside, tally = rows_of(group)
            if group in small and (inside or group in own):
                inside.append(row_of(SMALL, small[group]))
            tally.join(small.get(group, Tally()))
            if group in own:
                if inside:
                    inside.append(row_of(("own", group), own[group], names.get(group)))
                tally.join(own[group])
            row = row_of(("group", group), tally, names.get(group))
            row.rows = sorted(inside, key=in_order)
            rows.append(row)
            total.join(tally)
        return rows, total

    others = [
        row_of(key, tally)
        for key, tally in tallies.items()
        if key[0] != "group" and (key[0] != "small" or key == SMALL)
    ]
    return sorted([*rows_of(None)[0], *others], key=in_order)


def row_of(key: RowKey, tally: Tally, name: str | None = None) -> PeopleRow:
    return PeopleRow(*key, NAMES.get(key[0], name or key[1]), tally)


def in_order(row: PeopleRow) -> tuple[int, str, str, str]:
    """Sort order of sibling rows; unique."""
    return -row.tally.credits, "", row.id, row.kind


def flatten(rows: Iterable[PeopleRow]) -> Iterator[PeopleRow]:
    """The rows and those inside them."""
    for row in rows:
        yield row
        yield from flatten(row.rows)
