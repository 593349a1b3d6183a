"""The rows of views of people, groups and labels, and the row of each attribution. Requests share them, in memory by version."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from fastapi import Request

from query_api.attributions.domain.spans import Membership, PeopleSettings, Span, is_person
from query_api.attributions.domain.tally import PINNED, RowKey, Tally
from query_api.attributions.queries import (
    RangeVersion,
    read_attributions,
    select_attributions,
    select_people_version,
    sum_attribution_days,
)
from query_api.calendar import Days
from query_api.db.session import ReadSession

ATTRIBUTIONS_MAX = 1_000_000
"""Attributions of all kept books, of some 300 bytes each."""
FOLDS_MAX = 12
"""Ranges whose sums a book keeps."""
NO_PERSON = -1
NOTHING: "Numbers" = np.zeros(0, np.int64)


class BookKey(NamedTuple):
    """A view. `today` is None if the membership does not depend on it."""

    organization_id: int
    by: str
    membership: Membership | None
    label_key: str | None
    today: date | None


class BookVersion(NamedTuple):
    """What rows depend on besides attributions, which never change."""

    people: int | None
    settings: tuple[object, ...]


class Place(NamedTuple):
    """Row and person, by number, of usage of an attribution from `first_on` to `last_on`."""

    row: int
    person: int
    first_on: date
    last_on: date


Numbers = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


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


@dataclass
class Book:
    """Numbers of a view's rows and people. They are only added, so sums of ranges stay valid."""

    version: BookVersion
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
    """`places` as arrays of attributions, rows and people, sorted by attribution."""
    changing: dict[int, list[Place]] = field(default_factory=dict)
    folds: OrderedDict[Days, tuple[RangeVersion, Fold]] = field(default_factory=OrderedDict)
    _rows: dict[RowKey, int] = field(default_factory=dict)
    _people: dict[str, int] = field(default_factory=dict)
    _order: list[int] = field(default_factory=list)
    _ordered: int = 0
    """Number of rows when `_order` was made."""

    def add(self, spans: Iterable[Span]) -> None:
        """Attributions that the book has already stay as they are."""
        changing: dict[int, list[Place]] = {}
        for span in spans:
            row = self._rows.setdefault(self.key_of(span), len(self.keys))
            if row == len(self.keys):
                self.keys.append(self.key_of(span))
            person = NO_PERSON
            if is_person(span):
                person = self._people.setdefault(span.actor, len(self.people))
                if person == len(self.people):
                    self.people.append(span.actor)
                if span.removed:
                    self.removed.add(person)
            if span.first_on == date.min and span.last_on == date.max:
                self.places[span.attribution_id] = row, person
            else:
                places = changing.setdefault(span.attribution_id, [])
                places.append(Place(row, person, span.first_on, span.last_on))
        self.changing |= changing

    def ordered(self) -> Sequence[int]:
        """Numbers of the rows that do not combine usage, sorted by id and kind."""
        if self._ordered != len(self.keys):
            keys = self.keys
            rows = (row for row, (kind, _) in enumerate(keys) if kind not in PINNED)
            self._order = sorted(rows, key=lambda row: (keys[row][1], keys[row][0]))
            self._ordered = len(keys)
        return self._order

    def locate(self, attributions: Numbers) -> tuple[Numbers, Flags]:
        """Where attributions are in `_placed`, and which of them are in it."""
        if len(self._placed[0]) != len(self.places):
            numbers = np.array([(each, *place) for each, place in self.places.items()], np.int64)
            self._placed = tuple(numbers[np.argsort(numbers[:, 0])].T.copy())
        known = self._placed[0]
        if not len(known):
            return np.zeros(len(attributions), np.int64), np.zeros(len(attributions), np.bool_)
        at = np.minimum(np.searchsorted(known, attributions), len(known) - 1)
        return at, known[at] == attributions

    async def complete(self, session: ReadSession, key: BookKey, today: date, attributions: Numbers) -> None:
        """Read the attributions that are missing."""
        _, is_known = self.locate(attributions)
        missing = [each for each in attributions[~is_known].tolist() if each not in self.changing]
        if missing:
            spans = await select_attributions(
                session, key.membership or "none", today, label_key=key.label_key, attributions=missing
            )
            self.add(spans)

    async def read(
        self,
        session: ReadSession,
        key: BookKey,
        today: date,
        ranges: Sequence[tuple[Days, RangeVersion]],
        series: Sequence[int] | None,
    ) -> list[Fold]:
        """Usage of each range, in order; with `series` None from memory if the range has not changed."""
        kept = {days: self.folds.get(days) if series is None else None for days, _ in ranges}
        wanted = [(days, version) for days, version in ranges if (fold := kept[days]) is None or fold[0] != version]
        if wanted:
            sums = await read_attributions(session, [days for days, _ in wanted], series)
            for days, version in wanted:
                columns = [np.array(column, np.int64) for column in sums.get(days.first, ((), (), ()))]
                await self.complete(session, key, today, columns[0])
                moved = await self.read_changing(session, columns, days, series)
                kept[days] = version, self.fold(columns, moved)
        folds = [fold[1] for days, _ in ranges if (fold := kept[days]) is not None]
        if series is None:
            for days, _ in ranges:
                fold = kept[days]
                if fold is not None:
                    self.folds[days] = fold
                    self.folds.move_to_end(days)
            while len(self.folds) > FOLDS_MAX:
                self.folds.popitem(last=False)
        return folds

    async def read_changing(
        self, session: ReadSession, columns: Sequence[Numbers], days: Days, series: Sequence[int] | None
    ) -> list[tuple[int, int, int, int]]:
        """Row, person, credits and events of attributions that are in several rows; from daily rows if in the range."""
        if not self.changing:
            return []
        moved, by_day = [], []
        is_elsewhere = ~self.locate(columns[0])[1]
        for attribution, credits, events in zip(*(column[is_elsewhere].tolist() for column in columns), strict=True):
            place = find_place(self.changing.get(attribution, ()), days.first)
            if place is not None and days.last <= place.last_on:
                moved.append((place.row, place.person, credits, events))
            elif attribution in self.changing:
                by_day.append(attribution)
        for day, attribution, credits, events in await sum_attribution_days(session, days, by_day, series):
            place = find_place(self.changing[attribution], day)
            if place is not None:
                moved.append((place.row, place.person, credits, events))
        return moved

    def tallies(self, now: Fold, earlier: Fold) -> dict[RowKey, Tally]:
        """Of the rows with usage in one of the ranges."""
        tallies: dict[RowKey, Tally] = {}
        people, people_now, people_before = self.people, now.people_of_rows(), earlier.people_of_rows()
        size = len(self.keys)
        for row in np.flatnonzero(grown(now.is_used, size) | grown(earlier.is_used, size)).tolist():
            tally = tallies[self.keys[row]] = now.tally(row)
            tally.previous = earlier.tally(row).credits
            tally.people = {people[person] for person in people_now.get(row, ())}
            tally.people_before = {people[person] for person in people_before.get(row, ())}
        return tallies

    def fold(self, columns: Sequence[Numbers], moved: Sequence[tuple[int, int, int, int]]) -> Fold:
        at, is_known = self.locate(columns[0])
        _, rows_of, people_of = self._placed
        others = np.array(moved, np.int64).reshape(-1, 4).T
        at = at[is_known]
        rows = np.concatenate([rows_of[at], others[0]])
        people = np.concatenate([people_of[at], others[1]])
        credits = np.concatenate([columns[1][is_known], others[2]])
        events = np.concatenate([columns[2][is_known], others[3]])
        fold = Fold(
            np.zeros(len(self.keys), np.int64), np.zeros(len(self.keys), np.int64), np.zeros(len(self.keys), np.bool_),
            np.zeros(len(self.people), np.int64), np.zeros(len(self.people), np.bool_), None,
        )  # fmt: skip
        np.add.at(fold.credits, rows, credits)
        np.add.at(fold.events, rows, events)
        fold.is_used[rows] = True
        is_by_person = (people != NO_PERSON) & ((credits != 0) | (events != 0))
        people = people[is_by_person]
        np.add.at(fold.credits_by_person, people, credits[is_by_person])
        fold.has_used[people] = True
        if self.counts_people:
            fold.pairs = rows[is_by_person], people
        return fold


def find_place(places: Iterable[Place], day: date) -> Place | None:
    return next((place for place in places if place.first_on <= day <= place.last_on), None)


class Books:
    """The books of the views that were read last, in this process.

    A book is used only in a session whose snapshot has its version, and its key begins with the id of the session's
    organization, so row-level security applies to everything in it.
    """

    def __init__(self, attributions_max: int = ATTRIBUTIONS_MAX) -> None:
        self._attributions_max = attributions_max
        self._books: OrderedDict[BookKey, Book] = OrderedDict()

    async def open(
        self, session: ReadSession, key: BookKey, settings: PeopleSettings, key_of: Callable[[Span], RowKey]
    ) -> Book:
        version = BookVersion(await select_people_version(session), (settings.people, tuple(settings.label_keys)))
        book = self._books.get(key)
        if book is None or book.version != version:
            book = self._books[key] = Book(version, key_of, counts_people=key.by != "person")
        self._books.move_to_end(key)
        kept = sum(len(each.places) + len(each.changing) for each in self._books.values())
        while kept > self._attributions_max and len(self._books) > 1:
            _, oldest = self._books.popitem(last=False)
            kept -= len(oldest.places) + len(oldest.changing)
        return book


def books_of(request: Request) -> Books:
    books: Books = request.app.state.books
    return books
