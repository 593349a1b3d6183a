"""The rows of views of people, groups and labels, and the row of each attribution. Requests share them, in memory by version."""

from asyncio import Lock
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

import numpy as np
from fastapi import Request

from query_api.attributions.domain.fold import (
    NO_PERSON,
    NOTHING,
    UNKNOWN,
    Flags,
    Fold,
    Numbers,
    Usage,
    fold_usage,
    grown,
)
from query_api.attributions.domain.spans import Membership, Place, Span, find_place, is_other, is_person
from query_api.attributions.domain.tally import PINNED, RowKey, Tally
from query_api.attributions.queries import (
    AttributionColumns,
    PeopleVersion,
    RangeVersion,
    read_attributions,
    select_attributions,
    sum_spans,
)
from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.db.shares import Shares
from query_api.turns import in_parts

BYTES_MAX = 150_000_000
"""Of all kept books."""
BOOK_BYTES, ATTRIBUTION_BYTES = 2_000, 300
"""Of an empty book, and of an attribution in it, with its row and person."""
FOLDS_MAX = 12
"""Ranges whose sums a book keeps."""


class BookKey(NamedTuple):
    """A view. `today` is None if the membership does not depend on it."""

    organization_id: int
    by: str
    membership: Membership | None
    label_key: str | None
    today: date | None


class Order(NamedTuple):
    """Numbers of the first `size` rows of a book."""

    size: int
    rows: Numbers
    """Sorted by id and kind."""
    pinned: Sequence[int]
    """Of those that combine usage."""


NO_ORDER = Order(0, NOTHING, ())
NO_COLUMNS = AttributionColumns(NOTHING, NOTHING, NOTHING)


@dataclass
class Book:
    """Numbers of a view's rows and people. They are only added, so sums of ranges stay valid.

    Threads may read it while the event loop adds to it, but must not iterate over sets and dictionaries.
    """

    version: PeopleVersion
    """What rows depend on besides attributions, which never change."""
    key_of: Callable[[Span], RowKey]
    counts_people: bool
    """Whether rows contain several people."""
    keys: list[RowKey] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    removed: set[int] = field(default_factory=set)
    """People whom the directory has removed."""
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Row and person of each attribution that is in one row on all days."""
    _placed: tuple[Numbers, Numbers, Numbers] = field(default_factory=lambda: (NOTHING, NOTHING, NOTHING))
    """Attributions, rows and people of `places` without `_added`, sorted by attribution."""
    _added: list[tuple[int, int, int]] = field(default_factory=list)
    """Attribution, row and person of the newest `places`."""
    _reading: Lock = field(default_factory=Lock)
    """While attributions are read. Other requests that lack them wait, and then have them."""
    changing: dict[int, list[Place]] = field(default_factory=dict)
    folds: OrderedDict[Days, tuple[RangeVersion, Fold]] = field(default_factory=OrderedDict)
    _rows: dict[RowKey, int] = field(default_factory=dict)
    _people: dict[str, int] = field(default_factory=dict)
    _order: Order = NO_ORDER

    @property
    def attributions(self) -> int:
        return len(self.places) + len(self.changing)

    @property
    def bytes(self) -> int:
        return BOOK_BYTES + ATTRIBUTION_BYTES * self.attributions + sum(fold.bytes for _, fold in self.folds.values())

    async def add(self, spans: Sequence[Span]) -> None:
        """All spans of some attributions. Attributions that the book has already stay as they are."""
        changing: dict[int, list[Place]] = {}
        async for some in in_parts(spans):
            self._add(some, changing)
        self.changing |= changing

    def _add(self, spans: Iterable[Span], changing: dict[int, list[Place]]) -> None:
        for span in spans:
            row = self._rows.setdefault(self.key_of(span), len(self.keys))
            if row == len(self.keys):
                self.keys.append(self.key_of(span))
            person = UNKNOWN if is_other(span) else NO_PERSON
            if is_person(span):
                person = self._people.setdefault(span.actor, len(self.people))
                if person == len(self.people):
                    self.people.append(span.actor)
                if span.removed:
                    self.removed.add(person)
            if span.first_on == date.min and span.last_on == date.max:
                self.places[span.attribution_id] = row, person
                self._added.append((span.attribution_id, row, person))
            else:
                places = changing.setdefault(span.attribution_id, [])
                places.append(Place(row, person, span.first_on, span.last_on))

    def order(self) -> Order:
        order, keys, size = self._order, self.keys, len(self.keys)
        if order.size != size:
            rows = [row for row in range(size) if keys[row][0] not in PINNED]
            rows.sort(key=lambda row: (keys[row][1], keys[row][0]))
            pinned = [row for row in range(size) if keys[row][0] in PINNED]
            order = self._order = Order(size, np.array(rows, np.int64), pinned)
        return order

    def locate(self, attributions: Numbers) -> tuple[Numbers, Flags]:
        """Where attributions are in `_placed`, and which of them are in it."""
        if self._added:
            added, self._added = np.array(self._added, np.int64).T, []
            columns = [np.concatenate(pair) for pair in zip(self._placed, added, strict=True)]
            order = np.argsort(columns[0], kind="stable")  # of two sorted parts
            self._placed = columns[0][order], columns[1][order], columns[2][order]
        known = self._placed[0]
        if not len(known):
            return np.zeros(len(attributions), np.int64), np.zeros(len(attributions), np.bool_)
        at = np.minimum(np.searchsorted(known, attributions), len(known) - 1)
        return at, known[at] == attributions

    async def complete(
        self, session: ReadSession, key: BookKey, today: date, attributions: Numbers
    ) -> tuple[Numbers, Flags]:
        """Read the attributions that are missing, and locate all."""
        at, is_known = self.locate(attributions)
        if not self.lacks(attributions[~is_known]):
            return at, is_known
        async with self._reading:
            if missing := self.lacks(attributions[~self.locate(attributions)[1]]):
                reading = select_attributions(
                    session, key.membership or "none", today, label_key=key.label_key, attributions=missing
                )
                await self.add(await reading)
        return self.locate(attributions)

    def lacks(self, attributions: Numbers) -> list[int]:
        """Those, of attributions without a place, that are not in `changing` either."""
        return [each for each in attributions.tolist() if each not in self.changing]

    async def read(
        self, session: ReadSession, key: BookKey, today: date, ranges: Sequence[tuple[Days, RangeVersion]],
        series: Sequence[int] | None,
    ) -> list[Fold]:  # fmt: skip
        """Usage of each range, in order; with `series` None from memory if the range has not changed."""
        kept = {days: self.folds.get(days) if series is None else None for days, _ in ranges}
        wanted = [(days, version) for days, version in ranges if (each := kept[days]) is None or each[0] != version]
        if wanted:
            sums = await read_attributions(session, [days for days, _ in wanted], series)
            for days, version in wanted:
                found = sums.get(days.first, NO_COLUMNS)
                usage = await self.place(session, key, today, found, days, series)
                fold = fold_usage(usage, len(self.keys), len(self.people), counts_people=self.counts_people)
                kept[days] = version, fold
        folds = [each[1] for days, _ in ranges if (each := kept[days]) is not None]
        if series is None:
            for days, _ in ranges:
                if (each := kept[days]) is not None:
                    self.folds[days] = each
                    self.folds.move_to_end(days)
            while len(self.folds) > FOLDS_MAX:
                self.folds.popitem(last=False)
        return folds

    async def place(
        self, session: ReadSession, key: BookKey, today: date, found: AttributionColumns, days: Days,
        series: Sequence[int] | None,
    ) -> Usage:  # fmt: skip
        """What read_attributions() found, by row and person."""
        columns: Sequence[Numbers] = found
        if not (found.attribution_ids[1:] >= found.attribution_ids[:-1]).all():
            order = np.argsort(found.attribution_ids)  # sorted keys are located in a fifth of the time
            columns = [column[order] for column in found]
        at, is_known = await self.complete(session, key, today, columns[0])
        # Before the next statement, during which another request may add attributions.
        placed = self._placed[1][at[is_known]], self._placed[2][at[is_known]]
        moved = await self.read_changing(session, [column[~is_known] for column in columns], days, series)
        others = np.array(moved, np.int64).reshape(-1, 4).T
        constant = (*placed, *(column[is_known] for column in columns[1:]))
        return Usage(*(np.concatenate(pair) for pair in zip(constant, others, strict=True)))

    async def read_changing(
        self, session: ReadSession, columns: Sequence[Numbers], days: Days, series: Sequence[int] | None
    ) -> list[tuple[int, int, int, int]]:
        """Row, person, credits and events of attributions in `columns` that are in several rows; from daily rows if in
        the range."""
        if not self.changing:
            return []
        moved, others = [], dict[int, None]()
        for attribution, credits, events in zip(*(column.tolist() for column in columns), strict=True):
            place = find_place(self.changing.get(attribution, ()), days.first)
            if place is not None and days.last <= place.last_on:
                moved.append((place.row, place.person, credits, events))
            else:
                others[attribution] = None  # may occur several times
        spans = [
            (attribution, place)
            for attribution in others
            for place in self.changing.get(attribution, ())
            if place.first_on <= days.last and days.first <= place.last_on
        ]
        limits = [(attribution, place.first_on, place.last_on) for attribution, place in spans]
        for number, credits, events in await sum_spans(session, days, limits, series):
            place = spans[number][1]
            moved.append((place.row, place.person, credits, events))
        return moved

    def tallies(self, now: Fold, earlier: Fold) -> dict[RowKey, Tally]:
        """Of the rows with usage in one of the ranges."""
        tallies: dict[RowKey, Tally] = {}
        people = now.people_of_rows(self.people)
        size = len(self.keys)
        for row in np.flatnonzero(grown(now.is_used, size) | grown(earlier.is_used, size)).tolist():
            tally = tallies[self.keys[row]] = now.tally(row)
            tally.previous = earlier.tally(row).credits
            tally.people = people.get(row, tally.people)
        return tallies


class Books:
    """The books of the views that were read last, in this process.

    A book is used only in a session whose snapshot has its version, and its key begins with the id of the session's
    organization, so row-level security applies to everything in it.
    """

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._books: dict[BookKey, Book] = {}
        self._shares: Shares[BookKey] = Shares(bytes_max, lambda key: key.organization_id)

    @property
    def bytes(self) -> int:
        return self._shares.size

    async def read(
        self, session: ReadSession, key: BookKey, people: PeopleVersion, key_of: Callable[[Span], RowKey], today: date,
        ranges: Sequence[tuple[Days, RangeVersion]], series: Sequence[int] | None,
    ) -> tuple[Book, list[Fold]]:  # fmt: skip
        """The book and the usage of each range, as Book.read. `people` is the version of the session's snapshot."""
        with self.use(key, people, key_of) as book:
            return book, await book.read(session, key, today, ranges, series)

    @contextmanager
    def use(self, key: BookKey, version: PeopleVersion, key_of: Callable[[Span], RowKey]) -> Iterator[Book]:
        """The book of the version, which is that of the session's snapshot."""
        book = self._books.get(key)
        if book is None or book.version != version:
            book = self._books[key] = Book(version, key_of, counts_people=key.by != "person")
        try:
            yield book
        finally:
            self._count(key, book)

    def _count(self, key: BookKey, book: Book) -> None:
        """Count what the book has now, and forget others as Shares says; also this one if it is too large alone."""
        if self._books.get(key) is book:  # else it was forgotten or replaced meanwhile
            self._shares.put(key, book.bytes)
        while (forgotten := self._shares.forget_excess()) is not None:
            del self._books[forgotten]


def books_of(request: Request) -> Books:
    books: Books = request.app.state.books
    return books
