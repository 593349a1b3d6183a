"""What is shown of each month's usage while only groups are shown. Requests share it, in memory by version."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import date
from typing import NamedTuple

import numpy as np

from query_api.attributions.book import NO_COLUMNS, BookKey, Books
from query_api.attributions.cells import Split, count_items, cut_days, cut_months, months_in, read_months, show
from query_api.attributions.domain.fold import tally_month
from query_api.attributions.domain.privacy import Published, join_months, publish_month
from query_api.attributions.domain.spans import PeopleGroup, Span
from query_api.attributions.domain.tally import RowKey, Tally
from query_api.attributions.limit import check_number
from query_api.attributions.queries import (
    PeopleVersion,
    read_attributions,
    select_attributions,
    select_people_version,
    select_range_versions,
    sum_totals,
)
from query_api.calendar import Days
from query_api.db.cache import VersionedCache
from query_api.db.session import ReadSession
from query_api.turns import compute

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


async def read_kept(
    session: ReadSession, kept: Kept, view: View, asked: Days, today: date, series: Sequence[int] | None, split: Split
) -> Published:
    """As cells.read_published() of all attributions, but only months that have changed are read again. Raises ApiProblem.

    A month's version changes with its usage, its corrections, a rebuild, and the directory or settings of the organization.
    """
    days = await cut_days(session, asked, today)
    if days is None:
        return Published({}, frozenset())
    months, cut = months_in(days), cut_months(days, today, by_day=split.by_day)
    people = await select_people_version(session)
    versions = await select_range_versions(session, months, await sum_totals(session, months, None))
    found, changed, keys = dict[Days, Published](), list[Days](), dict[Days, tuple[object, ...]]()
    for month in months:
        part = Days(max(month.first, days.first), min(month.last, days.last))
        which = None if series is None else tuple(series)
        keys[month] = "published month", session.organization_id, view.key, part, month.first in cut, which, split
        published: Published | None = kept.cache.get(keys[month], (people, versions[month.first]))
        if published is None:
            changed.append(month)
        else:
            found[month] = published
    if changed:
        days = Days(max(days.first, changed[0].first), min(days.last, changed[-1].last))
        if (changed[0].first, changed[-1].last) == days and series is None and split == Split(frozenset()):
            read = read_whole(session, kept.books, view, people, changed, today)
        else:
            read = read_parts(session, view, changed, days, today, series, split)
        async with aclosing(read):
            async for month, tallies in read:
                items = count_items([tallies])
                found[month] = await compute(session.organization_id, items, publish_month, tallies, view.groups)
                size = bytes_of(found[month], series)
                kept.cache.put(keys[month], (people, versions[month.first]), found[month], size)
    shown = [found[month] for month in months]
    return await show(session, count_items(each.tallies for each in shown), lambda: join_months(shown))


def bytes_of(published: Published, series: Sequence[int] | None) -> int:
    rows = MONTH_BYTES + ROW_BYTES * len(published.tallies)
    return rows + PERSON_BYTES * count_items([published.tallies]) + SERIES_BYTES * len(series or ())


MonthTallies = AsyncGenerator[tuple[Days, dict[RowKey, Tally]], None]
"""Months and their tallies, which must not be shown. One month is in memory at a time."""


async def read_whole(
    session: ReadSession, books: Books, view: View, people: PeopleVersion, months: Sequence[Days], today: date
) -> MonthTallies:
    """All usage of whole months. Rows of attributions are kept, too. Raises ApiProblem if the months have too many together."""
    attributions = NO_COLUMNS.attribution_ids
    with books.use(view.key, people, view.key_of) as book:
        for month in months:
            columns = (await read_attributions(session, [month], None)).get(month.first, NO_COLUMNS)
            attributions = np.union1d(attributions, columns.attribution_ids)
            await check_number(session, len(attributions))
            usage = await book.place(session, view.key, today, columns, month, None)
            tallies = await compute(
                session.organization_id, len(usage.rows), tally_month, usage, book.keys, book.people
            )
            yield month, tallies


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
