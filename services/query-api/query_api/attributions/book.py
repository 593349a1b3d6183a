"""The rows of views of people, groups and labels, and the row of each attribution. Requests share them, in memory by version."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import compress
from typing import NamedTuple

from fastapi import Request

from query_api.attributions.domain.spans import Membership, PeopleSettings, Span, is_person
from query_api.attributions.domain.tally import PINNED, RowKey, Tally
from query_api.attributions.queries import (
    AttributionColumns,
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


@dataclass(slots=True)
class Fold:
    """Usage of a range by row, and by person, in micro-credits. Rows and people that were added later have none."""

    credits: list[int]
    events: list[int]
    is_used: bytearray
    """Of rows: 1 if the range has usage."""
    _of_people: list[int]
    has_used: bytearray
    """Of people: 1 for those with usage."""
    people_of_rows: list[set[int]] | None
    """None in the view by person."""

    def credits_of_people(self) -> list[int]:
        """Of each person with usage."""
        return list(compress(self._of_people, self.has_used))

    def tally(self, row: int) -> Tally:
        if row >= len(self.credits):
            return Tally()
        return Tally(self.credits[row], self.events[row])


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

    async def complete(self, session: ReadSession, key: BookKey, today: date, attributions: Iterable[int]) -> None:
        """Read the attributions that are missing."""
        missing = [each for each in set(attributions).difference(self.places) if each not in self.changing]
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
            for columns in sums.values():
                await self.complete(session, key, today, columns.attribution_ids)
            for days, version in wanted:
                moved = await self.read_changing(session, sums.get(days.first), days, series)
                kept[days] = version, self.fold(sums.get(days.first), moved)
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
        self, session: ReadSession, columns: AttributionColumns | None, days: Days, series: Sequence[int] | None
    ) -> list[tuple[int, int, int, int]]:
        """Row, person, credits and events of attributions that are in several rows; from daily rows if in the range."""
        moved: list[tuple[int, int, int, int]] = []
        if columns is None or not self.changing:
            return moved
        by_day = []
        for attribution, credits, events in zip(*columns, strict=True):
            places = self.changing.get(attribution)
            if places is None:
                continue
            place = find_place(places, days.first)
            if place is not None and days.last <= place.last_on:
                moved.append((place.row, place.person, credits, events))
            else:
                by_day.append(attribution)
        for day, attribution, credits, events in await sum_attribution_days(session, days, by_day, series):
            place = find_place(self.changing[attribution], day)
            if place is not None:
                moved.append((place.row, place.person, credits, events))
        return moved

    def tallies(self, now: Fold, earlier: Fold) -> dict[RowKey, Tally]:
        """Of the rows with usage in one of the ranges."""
        tallies: dict[RowKey, Tally] = {}
        people = self.people
        for row, key in enumerate(self.keys):
            is_used = row < len(now.is_used) and now.is_used[row]
            was_used = row < len(earlier.is_used) and earlier.is_used[row]
            if is_used or was_used:
                tally = tallies[key] = now.tally(row)
                tally.previous = earlier.tally(row).credits
                if is_used and now.people_of_rows is not None:
                    tally.people = {people[person] for person in now.people_of_rows[row]}
                if was_used and earlier.people_of_rows is not None:
                    tally.people_before = {people[person] for person in earlier.people_of_rows[row]}
        return tallies

    def fold(self, columns: AttributionColumns | None, moved: Iterable[tuple[int, int, int, int]]) -> Fold:
        size, place_of = len(self.keys), self.places.get
        credits, events, is_used = [0] * size, [0] * size, bytearray(size)
        # The last element is of NO_PERSON.
        of_people, has_used = [0] * (len(self.people) + 1), bytearray(len(self.people) + 1)
        of_rows: list[set[int]] | None = [set() for _ in self.keys] if self.counts_people else None
        if columns is not None:
            for attribution, its_credits, its_events in zip(*columns, strict=True):
                place = place_of(attribution)
                if place is None:
                    continue
                row, person = place
                credits[row] += its_credits
                events[row] += its_events
                is_used[row] = 1
                if its_events or its_credits:
                    of_people[person] += its_credits
                    has_used[person] = 1
                    if of_rows is not None:
                        of_rows[row].add(person)
        for row, person, its_credits, its_events in moved:
            credits[row] += its_credits
            events[row] += its_events
            is_used[row] = 1
            if its_events or its_credits:
                of_people[person] += its_credits
                has_used[person] = 1
                if of_rows is not None:
                    of_rows[row].add(person)
        has_used[NO_PERSON] = 0
        for people in of_rows or ():
            people.discard(NO_PERSON)
        return Fold(credits, events, is_used, of_people, has_used, of_rows)


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
