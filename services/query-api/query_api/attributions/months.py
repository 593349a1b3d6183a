"""What is shown of each month's usage while only groups are shown. Requests share it, in memory by version."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from query_api.attributions.book import NO_COLUMNS, BookKey, Books
from query_api.attributions.cells import Split, count_items, cut_days, cut_months, months_in, read_months, show
from query_api.attributions.domain.fold import Numbers, tally_month
from query_api.attributions.domain.privacy import Published, join_months, publish_month
from query_api.attributions.domain.spans import PeopleGroup, Span
from query_api.attributions.domain.tally import RowKey, Tally
from query_api.attributions.limit import ATTRIBUTIONS_MAX, check_number
from query_api.attributions.queries import (
    AttributionColumns,
    PeopleVersion,
    RangeVersion,
    read_attributions,
    select_attributions,
    select_people_groups,
    select_range_versions,
    subtract,
)
from query_api.calendar import Days
from query_api.contracts.queries import select_days
from query_api.db.cache import Key, VersionedCache
from query_api.db.session import ReadSession
from query_api.turns import IN_ARRAYS, compute

MONTH_BYTES, ROW_BYTES, PERSON_BYTES, SERIES_BYTES = 1_000, 500, 100, 40
"""Of what is kept of a month, of a row in it, of a person in a row, and of a series that the request selected."""


class Kept(NamedTuple):
    """Where a process keeps what it has read."""

    books: Books
    cache: VersionedCache


class View(NamedTuple):
    """The rows of a view. `groups` None: they are no tree."""

    key: BookKey
    key_of: Callable[[Span], RowKey]
    groups: Sequence[PeopleGroup] | None


class Versions(NamedTuple):
    """Of the session's snapshot."""

    known: Days | None
    """First and last day with usage."""
    people: PeopleVersion
    of: Mapping[Days, RangeVersion]
    """Of ranges, and of the months of which they have a part."""

    def of_month(self, month: Days, today: date) -> tuple[object, ...]:
        """While it is equal, so is what may be shown of the month. It changes when usage dated tomorrow begins to count, too."""
        has_later = self.known is not None and self.known.last > today
        return self.people, self.of[month], min(month.last, today) if has_later else month.last


async def read_versions(session: ReadSession, people: PeopleVersion, ranges: Sequence[Days], today: date) -> Versions:
    known = await select_days(session)
    used = [part for days in ranges if (part := cut_days(known, days, today))]
    months = {month for part in used for month in months_in(part)}
    return Versions(known, people, await select_range_versions(session, [*{*months, *ranges}]))


async def read_groups(session: ReadSession, cache: VersionedCache, people: PeopleVersion) -> Sequence[PeopleGroup]:
    """The groups of the directory. `people` is the version of the session's snapshot."""
    key = "people groups", session.organization_id
    groups: Sequence[PeopleGroup] | None = cache.get(key, people)
    if groups is None:
        groups = await select_people_groups(session)
        cache.put(key, people, groups, ROW_BYTES * (1 + len(groups)))
    return groups


async def read_kept(
    session: ReadSession, kept: Kept, view: View, versions: Versions, asked: Days, today: date, series: Sequence[int] | None,
    split: Split,
) -> Published:  # fmt: skip
    """As cells.read_published() of all attributions, but only months that have changed are read again. Raises ApiProblem.

    `versions` are those of the asked days. A month's version changes with its usage, its corrections, a rebuild, the directory
    or settings of the organization, and the day if usage dated tomorrow was left out.
    """
    days = cut_days(versions.known, asked, today)
    if days is None:
        return Published({}, frozenset())
    months, cut = months_in(days), cut_months(days, today, by_day=split.by_day)
    which = None if series is None else tuple(series)
    found, keys, version_of = dict[Days, Published](), dict[Days, Key](), dict[Days, tuple[object, ...]]()
    for month in months:
        part = Days(max(month.first, days.first), min(month.last, days.last))
        keys[month] = "published month", session.organization_id, view.key, part, month.first in cut, which, split
        version_of[month] = versions.of_month(month, today)

    def find_changed() -> list[Days]:
        for month in months:
            published: Published | None = kept.cache.get(keys[month], version_of[month])
            if published is not None:
                found[month] = published
        return [month for month in months if month not in found]

    if changed := find_changed():
        async with kept.cache.alone([(keys[month], version_of[month]) for month in changed]):
            if changed := find_changed():
                days = Days(max(days.first, changed[0].first), min(days.last, changed[-1].last))
                is_whole = days.first == changed[0].first and days.last in (changed[-1].last, today)
                if is_whole and series is None and split == Split(frozenset()):
                    read = read_whole(session, kept.books, view, versions.people, changed, days.last, today)
                else:
                    read = read_parts(session, view, changed, days, today, series, split)
                async with aclosing(read):
                    async for month, tallies in read:
                        items = count_items([tallies])
                        found[month] = await compute(
                            session.organization_id, items, publish_month, tallies, view.groups
                        )
                        size = bytes_of(found[month], series)
                        kept.cache.put(keys[month], version_of[month], found[month], size)
    shown = [found[month] for month in months]
    return await show(session, count_items(each.tallies for each in shown), lambda: join_months(shown))


def bytes_of(published: Published, series: Sequence[int] | None) -> int:
    people = sum(tally.people.size for tally in published.tallies.values())
    rows = ROW_BYTES * len(published.tallies) + PERSON_BYTES * people
    return MONTH_BYTES + rows + SERIES_BYTES * len(series or ())


MonthTallies = AsyncGenerator[tuple[Days, dict[RowKey, Tally]], None]
"""Months and their tallies, which must not be shown. One month is in memory at a time."""


async def read_whole(
    session: ReadSession,
    books: Books,
    view: View,
    people: PeopleVersion,
    months: Sequence[Days],
    last: date,
    today: date,
) -> MonthTallies:
    """All usage of whole months, of the last one until `last`. Rows of attributions are kept, too. Raises ApiProblem if the
    months have too many together."""
    attributions = list[Numbers]()
    with books.use(view.key, people, view.key_of) as book:
        for month in months:
            columns = await read_until(session, month, last)
            attributions.append(columns.attribution_ids)
            if sum(map(len, attributions)) > ATTRIBUTIONS_MAX:
                await check_number(session, len(np.unique(np.concatenate(attributions))))
            days = Days(month.first, min(month.last, last))
            usage = await book.place(session, view.key, today, columns, days, None)
            tallies = await compute(
                session.organization_id, len(usage.rows) // IN_ARRAYS, tally_month, usage, book.keys, book.people
            )
            yield month, tallies


async def read_until(session: ReadSession, month: Days, last: date) -> AttributionColumns:
    """A month's usage until `last`. The days after it have so few rows that they are subtracted from the monthly ones."""
    later = [Days(last + timedelta(days=1), month.last)] if last < month.last else []
    sums = await read_attributions(session, [month, *later], None)
    columns = sums.pop(month.first, NO_COLUMNS)
    for others in sums.values():
        columns = subtract(columns, others)
    return columns


async def read_parts(
    session: ReadSession, view: View, months: Sequence[Days], days: Days, today: date, series: Sequence[int] | None,
    split: Split,
) -> MonthTallies:  # fmt: skip
    """Usage on the days, some of which are of other months, of the series."""
    membership = view.key.membership or "none"
    spans = await select_attributions(session, membership, today, label_key=view.key.label_key)
    read = await read_months(session, spans, view.key_of, days, today, series, split)
    for month in months:
        yield month, read.pop(month.first, {})
