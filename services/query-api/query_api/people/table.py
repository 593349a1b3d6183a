"""The table of usage by person, group or label, and what a request asks of it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from query_api.attributions.book import Book
from query_api.attributions.domain.crowd import Crowd
from query_api.attributions.domain.fold import Fold, grown
from query_api.attributions.domain.spans import PeopleGroup, PeopleSettings, Span
from query_api.attributions.domain.tally import (
    PINNED,
    UNATTRIBUTED,
    PeopleRow,
    RowKey,
    Tally,
    build_rows,
    build_tree,
    flatten,
    in_order,
    key_by_group,
    key_by_person,
    key_by_value,
    row_of,
)
from query_api.calendar import Days
from query_api.people.domain.distribution import Band, cut_bands, find_most_changed, find_movers
from query_api.people.schemas import PeopleFilter, PeopleView


class Totals(NamedTuple):
    """Of all rows, in micro-credits; `people` were used in the range."""

    credits: int
    events: int
    previous: int
    people: int


class PeopleTable(NamedTuple):
    """A view. Without a previous range `days_before` is None."""

    settings: PeopleSettings
    days: Days
    days_before: Days | None
    rows: Sequence[Any]
    """Sorted by `order`; `build` makes a PeopleRow of one. Rows that combine usage, such as Unattributed, are in `pinned`."""
    order: Callable[[Any], tuple[int, str, str, str]]
    build: Callable[[Any], PeopleRow]
    pinned: Sequence[PeopleRow]
    total: Totals
    bands: Sequence[Band]
    movers: Sequence[PeopleRow]


KEYS_OF: Mapping[str, Callable[[Span], RowKey]] = {
    "person": key_by_person, "group": key_by_group, "label": key_by_value,
}  # fmt: skip


class Asked(NamedTuple):
    """A request's parameters. `stretch` is what is read for `days`."""

    query: PeopleFilter
    view: PeopleView
    today: date
    days: Days
    before: Days | None
    stretch: Days
    series: list[int] | None

    @property
    def ranges(self) -> list[Days]:
        return [self.before, self.stretch] if self.before else [self.stretch]


def build_table(
    settings: PeopleSettings, asked: Asked, before: Days | None, tallies: Mapping[RowKey, Tally], groups: Sequence[PeopleGroup],
    bands: Sequence[Band],
) -> PeopleTable:  # fmt: skip
    total = Tally()
    for tally in tallies.values():
        total.join(tally)
    rows = build_tree(tallies, groups) if asked.view.by == "group" else build_rows(tallies)
    for row in flatten(rows):
        row.tally.people.unite()  # here, which may be a thread, and not when they are counted for the answer
    pinned = sorted((row for row in rows if row.kind in PINNED), key=lambda row: PINNED.index(row.kind))
    rows = [row for row in rows if row.kind not in PINNED]
    totals = Totals(total.credits, total.events, total.previous, len(total.people))
    return PeopleTable(
        settings, asked.days, before, rows, in_order, lambda row: row, pinned, totals, bands, find_movers(rows) if before else []
    )  # fmt: skip


class PersonTable(NamedTuple):
    """The view by person, of which only the rows of a page are built."""

    book: Book
    now: Fold
    earlier: Fold
    rest: Tally

    def build_table(self, settings: PeopleSettings, asked: Asked, totals: Totals) -> PeopleTable:
        book, now, earlier = self.book, self.now, self.earlier
        order = book.order()
        size = order.size
        credits, previous = grown(now.credits, size), grown(earlier.credits, size)
        is_used = grown(now.is_used, size) | grown(earlier.is_used, size)
        numbers = order.rows[is_used[order.rows]]
        # Stable: equal credits stay in the order of ids.
        rows = numbers[np.argsort(-credits[numbers], kind="stable")].tolist()
        pinned = [row_of(book.keys[row], self.tally(row)) for row in order.pinned if is_used[row]]
        unattributed = next((row for row in pinned if row.kind == "unattributed"), None)
        if unattributed is not None:
            unattributed.tally.join(self.rest)
        elif self.rest.credits or self.rest.events or self.rest.previous:
            pinned.append(row_of(UNATTRIBUTED, self.rest))
        pinned.sort(key=lambda row: PINNED.index(row.kind))
        movers = []
        if asked.before:
            changes = np.abs(credits - previous)
            moved = find_most_changed(numbers, changes[numbers], lambda row: (book.keys[row][1], book.keys[row][0]))
            movers = [self.build(row) for row in moved]
        return PeopleTable(
            settings, asked.days, asked.before, rows, lambda row: (-int(credits[row]), "", book.keys[row][1], book.keys[row][0]),
            self.build, pinned, totals, cut_bands(now.credits_of_people()), movers,
        )  # fmt: skip

    def tally(self, row: int) -> Tally:
        kind, row_id = self.book.keys[row]
        tally = self.now.tally(row)
        tally.previous = self.earlier.tally(row).credits
        if kind == "person" and (tally.credits or tally.events):
            tally.people = Crowd((row_id,))
        if kind == "removed":
            tally.people = Crowd(
                self.book.people[each]
                for each in tuple(self.book.removed)  # a copy: another request may add people
                if each < len(self.now.has_used) and self.now.has_used[each]
            )
        return tally

    def build(self, row: int) -> PeopleRow:
        return row_of(self.book.keys[row], self.tally(row))
