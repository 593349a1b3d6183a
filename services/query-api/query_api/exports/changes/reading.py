"""Reads the lines of a file and today's lines of the same days, some days at a time, and compares them."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Literal, NamedTuple
from uuid import UUID

from query_api.calendar import Days
from query_api.contracts.queries import select_contracts, select_credit_periods, select_days
from query_api.db.session import ReadSession
from query_api.exports.changes.differences import (
    CAUSES,
    Cause,
    DayCredits,
    Difference,
    Differences,
    Sums,
    Total,
    compare,
    cut_days,
    cut_pair,
    series_of,
    sums_of,
    sums_of_days,
    take_largest,
    total_of,
)
from query_api.exports.changes.queries import select_series_between, sum_days_of_quarters
from query_api.exports.changes.rerun import KeptLines, read_kept
from query_api.exports.changes.worth import PriceChange, WorthDifference, compare_worth
from query_api.exports.domain.labels import ONE_DAY, LabelBook, UsedSeries, months_of
from query_api.exports.formats.rows import LabelIndex
from query_api.exports.manifests.kept import begins_of
from query_api.exports.manifests.manifest import Manifest, worth_of_days
from query_api.exports.parts import ROWS_AT_ONCE, UsageQuery, choose_products, read_catalog, read_usage_rows
from query_api.exports.queries import prepare_copy, select_exported_series, select_used_series

QUARTERS_KEPT = timedelta(days=466)
"""Quarters of an hour are kept as long as the ledger: days of another zone are read from them."""


class NotCompared(NamedTuple):
    """Days that began at other instants, of which no quarters of an hour are kept, and what the file has of them."""

    days: Days
    then: Total


class Compared(NamedTuple):
    """`numbers` of differences, which `largest` has some of."""

    then: Total
    now: Total
    totals: dict[Cause, Total]
    numbers: dict[Cause, int]
    largest: list[Difference]
    worth: dict[str | None, WorthDifference]
    prices: list[PriceChange]
    not_compared: list[NotCompared]


async def compare_with_today(
    session: ReadSession, export_id: UUID, manifest: Manifest, now: datetime, today: date, most: int
) -> Compared:
    """Raises ApiProblem."""
    filters = manifest.filters
    products, kinds = choose_products(
        UsageQuery(product=filters.product, view=filters.view, surface=None if filters.surface is None else [*filters.surface])
    )  # fmt: skip
    series = await select_exported_series(session, products, kinds, filters.surface)
    labels = LabelBook(manifest.days, await read_catalog(session, products, today))
    used = await select_days(session)
    await prepare_copy(session)
    none = Total(0, 0)
    total = Compared(none, none, dict.fromkeys(CAUSES, none), dict.fromkeys(CAUSES, 0), [], {}, [], [])
    by_day: dict[date, DayCredits] = {}
    async with aclosing(_segments(session, export_id, manifest, used)) as segments:
        async for segment in segments:
            async with aclosing(_compare_days(session, segment, series, labels, now, most)) as compared:
                async for found in compared:
                    if isinstance(found, NotCompared):
                        total = total._replace(not_compared=_join([*total.not_compared, found]))
                        continue
                    by_day |= found.by_day
                    total = _add(total, found, most)
    worth = []
    if by_day:
        contracts, periods = await select_contracts(session), await select_credit_periods(session)
        worth = await asyncio.to_thread(worth_of_days, contracts, periods, Days(min(by_day), max(by_day)))
    amounts, prices = compare_worth(by_day, manifest.worth, worth)
    numbers = total.numbers | {"re_rated": len(prices)}
    return total._replace(worth=amounts, prices=prices, numbers=numbers, largest=cut_pair(total.largest, most))


class _Segment(NamedTuple):
    """Some days, and the lines that a file has of them; without lines, they are those of a month at most."""

    days: Days
    begins_at: Sequence[datetime]
    kept: list[KeptLines]


async def _segments(
    session: ReadSession, export_id: UUID, manifest: Manifest, used: Days | None
) -> AsyncGenerator[_Segment, None]:
    """All days of the file that have usage now, or had usage in it."""
    zone = manifest.body["time_zone"]

    def gap(first: date, last: date) -> list[_Segment]:
        days = months_of(Days(first, last), used) if first <= last else []
        return [_Segment(month, begins_of(month, zone), []) for month in days]

    at = manifest.days.first
    waiting: _Segment | None = None
    async with aclosing(read_kept(session, export_id)) as parts:
        async for part in parts:
            if not isinstance(part, KeptLines):
                continue  # of FOCUS: purchases and corrections of prices
            if waiting and waiting.days == part.days:
                waiting.kept.append(part)
                continue
            if waiting:
                yield waiting
            for segment in gap(at, part.days.first - ONE_DAY):
                yield segment
            waiting, at = _Segment(part.days, part.begins_at, [part]), part.days.last + ONE_DAY
    if waiting:
        yield waiting
    for segment in gap(at, manifest.days.last):
        yield segment


Begin = Literal["same", "moved", "lost"]
"""Whether a day begins and ends as in the file, or else whether quarters of an hour are kept of it."""


async def _compare_days(
    session: ReadSession,
    segment: _Segment,
    series: Sequence[UsedSeries],
    book: LabelBook,
    now: datetime,
    most: int,
) -> AsyncGenerator[Differences | NotCompared, None]:
    """As many days at once as have ROWS_AT_ONCE lines, because there may be many more series today."""
    begins, kept = segment.begins_at, segment.kept
    then = await asyncio.to_thread(sums_of, [(part.days, part.labels, part.rows) for part in kept])
    labels_then = kept[0].labels if kept else LabelIndex([])
    chosen = [each.series_id for each in series]
    ids = await select_used_series(session, segment.days) | series_of(then)
    days_of = [segment.days.first + at * ONE_DAY for at in range(len(begins) - 1)]
    today_begins = begins_of(segment.days, session.organization.time_zone)
    states = [_state(begins, today_begins, at, now) for at in range(len(days_of))]
    if "moved" in states:
        ids |= await select_series_between(session, begins[0], begins[-1])
    of_days = [each for each in series if each.series_id in ids]
    at_once = max(1, ROWS_AT_ONCE // max(1, len(of_days)))
    for days, state in _runs(days_of, states, at_once):
        if state == "lost":
            yield NotCompared(days, total_of(cut_days(then, days)))
            continue
        as_then: Sums | None = None
        if state == "moved":
            at, after = ((day - segment.days.first).days for day in (days.first, days.last + ONE_DAY))
            rows = await sum_days_of_quarters(session, begins[at : after + 1], chosen)
            first = days.first.toordinal()
            as_then = await asyncio.to_thread(sums_of_days, [(first + row.day, *row[1:]) for row in rows])
        labels = LabelIndex(await asyncio.to_thread(book.find, of_days))
        pieces = [(some, labels, found) async for some, found in read_usage_rows(session, labels, days, None)]
        today = await asyncio.to_thread(sums_of, pieces)
        yield await asyncio.to_thread(compare, cut_days(then, days), today, as_then, labels_then, labels, most)


def _state(then: Sequence[datetime], today: Sequence[datetime], at: int, now: datetime) -> Begin:
    if tuple(then[at : at + 2]) == tuple(today[at : at + 2]):
        return "same"
    return "lost" if then[at] < now - QUARTERS_KEPT else "moved"


def _runs(days: Sequence[date], states: Sequence[Begin], at_once: int) -> Iterator[tuple[Days, Begin]]:
    """Days in a row of the same state, at most `at_once`."""
    for state, run in groupby(zip(days, states, strict=True), key=lambda each: each[1]):
        some = [day for day, _ in run]
        for at in range(0, len(some), at_once):
            piece = some[at : at + at_once]
            yield Days(piece[0], piece[-1]), state


def _join(found: list[NotCompared]) -> list[NotCompared]:
    """The last two as one, if their days are in a row."""
    if len(found) > 1 and found[-2].days.last + ONE_DAY == found[-1].days.first:
        one, other = found[-2:]
        return [*found[:-2], NotCompared(Days(one.days.first, other.days.last), _sum(one.then, other.then))]
    return found


def _add(total: Compared, found: Differences, most: int) -> Compared:
    return total._replace(
        then=_sum(total.then, found.then),
        now=_sum(total.now, found.now),
        totals={cause: _sum(total.totals[cause], found.totals.get(cause, Total(0, 0))) for cause in CAUSES},
        numbers={cause: total.numbers[cause] + found.numbers.get(cause, 0) for cause in CAUSES},
        largest=take_largest([*total.largest, *found.largest], most),
    )


def _sum(one: Total, other: Total) -> Total:
    return Total(one.credits + other.credits, one.events + other.events)
