"""Reads the lines of a file and today's lines of the same days, some days at a time, and compares them."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import date, datetime, timedelta
from typing import NamedTuple
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
    Total,
    compare,
    cut_days,
    sums_of,
    sums_of_days,
    take_largest,
)
from query_api.exports.changes.queries import select_series_between, sum_days_of_quarters
from query_api.exports.changes.rerun import KeptLines, read_kept
from query_api.exports.changes.worth import PriceChange, WorthDifference, compare_worth
from query_api.exports.domain.labels import ONE_DAY, Catalog, UsedSeries, build_labels, months_of
from query_api.exports.manifests.kept import begins_of
from query_api.exports.manifests.manifest import Manifest, worth_of_days
from query_api.exports.parts import ROWS_AT_ONCE, UsageQuery, choose_products, read_catalog, read_usage_rows
from query_api.exports.queries import prepare_copy, select_exported_series, select_used_series
from query_api.http.problems import ApiProblem

COMPARE_WITHIN_S = 45.0
QUARTERS_KEPT = timedelta(days=466)
"""Quarters of an hour are kept as long as the ledger: days of another zone are read from them."""


class Compared(NamedTuple):
    then: Total
    now: Total
    totals: dict[Cause, Total]
    largest: list[Difference]
    left_out: int
    worth: dict[str | None, WorthDifference]
    prices: list[PriceChange]


async def compare_with_today(
    session: ReadSession, export_id: UUID, manifest: Manifest, now: datetime, today: date, most: int
) -> Compared:
    """Raises ApiProblem."""
    until = time.monotonic() + COMPARE_WITHIN_S
    filters = manifest.filters
    products, kinds = choose_products(
        UsageQuery(product=filters.product, view=filters.view, surface=None if filters.surface is None else [*filters.surface])
    )  # fmt: skip
    series = await select_exported_series(session, products, kinds, filters.surface)
    catalog = await read_catalog(session, products, today)
    used = await select_days(session)
    await prepare_copy(session)
    total = Compared(Total(0, 0), Total(0, 0), dict.fromkeys(CAUSES, Total(0, 0)), [], 0, {}, [])
    by_day: dict[date, DayCredits] = {}
    async with aclosing(_segments(session, export_id, manifest, used)) as segments:
        async for segment in segments:
            async with aclosing(_compare_days(session, manifest, segment, series, catalog, now, most)) as compared:
                async for found in compared:
                    if time.monotonic() > until:  # not a timeout: an aborted COPY would cost the connection
                        raise ApiProblem(
                            "unavailable", f"The lines could not be compared within {COMPARE_WITHIN_S:.0f} s."
                        )
                    by_day |= found.by_day
                    total = _add(total, found, most)
    worth = []
    if by_day:
        contracts, periods = await select_contracts(session), await select_credit_periods(session)
        worth = await asyncio.to_thread(worth_of_days, contracts, periods, Days(min(by_day), max(by_day)))
    amounts, prices = compare_worth(by_day, manifest.worth, worth)
    return total._replace(worth=amounts, prices=prices)


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


async def _compare_days(
    session: ReadSession,
    manifest: Manifest,
    segment: _Segment,
    series: Sequence[UsedSeries],
    catalog: Catalog,
    now: datetime,
    most: int,
) -> AsyncGenerator[Differences, None]:
    """As many days at once as have ROWS_AT_ONCE lines, because there may be many more series today."""
    begins, kept = segment.begins_at, segment.kept
    then = await asyncio.to_thread(sums_of, [(part.days, part.labels, part.rows) for part in kept])
    labels_then = kept[0].labels if kept else []
    chosen = [each.series_id for each in series]
    ids = await select_used_series(session, segment.days) | {label.series_id for label in labels_then}
    has_moved = list(begins) != begins_of(segment.days, session.organization.time_zone)
    if has_moved:
        if begins[0] < now - QUARTERS_KEPT:
            raise ApiProblem(
                "days-not-kept",
                f"The days of the file are those of {manifest.body['time_zone']}. Usage by quarters of an hour, which has "
                "what is on another day now, is kept for 466 days only.",
            )
        ids |= await select_series_between(session, begins[0], begins[-1])
    of_days = [each for each in series if each.series_id in ids]
    at_once = max(1, ROWS_AT_ONCE // max(1, len(of_days)))
    for at in range(0, len(begins) - 1, at_once):
        some_begins = begins[at : at + at_once + 1]
        first = segment.days.first + at * ONE_DAY
        days = Days(first, first + (len(some_begins) - 2) * ONE_DAY)
        as_then = None
        if has_moved:
            rows = await sum_days_of_quarters(session, some_begins, chosen)
            as_then = await asyncio.to_thread(sums_of_days, [(first.toordinal() + row.day, *row[1:]) for row in rows])
        labels = await asyncio.to_thread(build_labels, of_days, days, catalog)
        pieces = [(some, labels, found) async for some, found in read_usage_rows(session, labels, days, None)]
        today = await asyncio.to_thread(sums_of, pieces)
        yield await asyncio.to_thread(compare, cut_days(then, days), today, as_then, labels_then, labels, most)


def _add(total: Compared, found: Differences, most: int) -> Compared:
    largest = take_largest([*total.largest, *found.largest], most)
    number = total.left_out + len(total.largest) + found.number
    return total._replace(
        then=_sum(total.then, found.then),
        now=_sum(total.now, found.now),
        totals={cause: _sum(total.totals[cause], found.totals.get(cause, Total(0, 0))) for cause in CAUSES},
        largest=largest,
        left_out=number - len(largest),
    )


def _sum(one: Total, other: Total) -> Total:
    return Total(one.credits + other.credits, one.events + other.events)
