"""Statements about attributions and their usage, in micro-credits. Postgres hides what the organization does not show."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Literal, NamedTuple

import asyncpg
import numpy as np
from runtime.postgres.statements import from_record

from query_api.attributions.domain.fold import Numbers
from query_api.attributions.domain.spans import PeopleGroup, PeopleMode, PeopleSettings, Span
from query_api.attributions.limit import ATTRIBUTIONS_MAX, SPANS_MAX, check_number
from query_api.calendar import Days, by_grain, count_grains, grain_bounds
from query_api.db.rows import from_records
from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.turns import in_parts


async def select_people_settings(session: ReadSession) -> PeopleSettings:
    row = await session.connection.fetchrow(SQL["select_people_settings"], session.organization_id)
    return PeopleSettings(row["people"], row["label_keys"]) if row else PeopleSettings("named", [])


async def select_attributions(
    session: ReadSession, membership: Literal["none", "then", "now"], today: date, *, actor: str | None = None,
    groups: Collection[str] | None = None, label: tuple[str, str | None] = ("", None), label_key: str | None = None,
    attributions: Sequence[int] | None = None,
) -> list[Span]:  # fmt: skip
    """Spans of the attributions that all filters select. Without membership an attribution has one span and no group.

    Raises ApiProblem if there are too many.
    """
    rows = await session.connection.fetch(
        SQL["select_attributions"],
        session.organization_id,
        membership,
        today,
        actor,
        groups,
        *label,
        label_key,
        attributions,
    )
    await check_number(session, len(rows), SPANS_MAX)
    spans = list[Span]()
    async for some in in_parts(rows):
        spans += from_records(Span, some)
    return spans


class PeopleVersion(NamedTuple):
    """While it is equal, so are people, memberships and groups, and what the organization shows of them."""

    newest_event_offset: int | None
    newest_reload: int | None
    """Of catalog events that were applied late, with a lower offset."""
    people: PeopleMode
    label_keys: Sequence[str]

    @property
    def settings(self) -> PeopleSettings:
        return PeopleSettings(self.people, self.label_keys)


async def select_people_version(session: ReadSession) -> PeopleVersion:
    row = await session.connection.fetchrow(SQL["select_people_version"], session.organization_id)
    version = from_record(PeopleVersion, row) if row else PeopleVersion(None, None, "named", ())
    return version._replace(label_keys=tuple(version.label_keys))


async def select_actor_names(session: ReadSession, actors: Sequence[str]) -> dict[str, str]:
    """By id, of the actors that have a name; empty unless the organization shows names."""
    if not actors:
        return {}
    rows = await session.connection.fetch(SQL["select_actor_names"], session.organization_id, actors)
    return {row["actor_id"]: row["name"] for row in rows}


class RevealedActor(NamedTuple):
    actor_id: str
    display_name: str | None
    email: str | None


async def select_revealed(session: ReadSession, alias: str) -> RevealedActor | None:
    """The person with this alias, if usage names one."""
    row = await session.connection.fetchrow(SQL["select_revealed"], session.organization_id, alias)
    return from_record(RevealedActor, row) if row else None


async def select_people_groups(session: ReadSession) -> list[PeopleGroup]:
    rows = await session.connection.fetch(SQL["select_people_groups"], session.organization_id)
    return from_records(PeopleGroup, rows)


class AttributionColumns(NamedTuple):
    """Usage of attributions in one range of days, in parallel columns."""

    attribution_ids: Numbers
    credits: Numbers
    events: Numbers


def subtract(columns: AttributionColumns, others: AttributionColumns) -> AttributionColumns:
    """Usage without that of `others`, each attribution once. Those without other usage are left out."""
    ids, at = np.unique(np.concatenate([columns.attribution_ids, others.attribution_ids]), return_inverse=True)
    sums = np.zeros((2, len(ids)), np.int64)
    np.add.at(sums[0], at, np.concatenate([columns.credits, -others.credits]))
    np.add.at(sums[1], at, np.concatenate([columns.events, -others.events]))
    used = sums.any(axis=0)
    return AttributionColumns(ids[used], sums[0][used], sums[1][used])


_HEAD_BYTES = 20
_ELEMENT = np.dtype([("bytes", ">i4"), ("value", ">i8")])


def numbers_of(sent: bytes) -> Numbers:
    """The elements of a bigint[] as array_send() returns it: not empty, in one dimension, without nulls.

    asyncpg would make an object of each element, which costs as much as reading the rows.
    """
    return np.frombuffer(sent, _ELEMENT, offset=_HEAD_BYTES)["value"].astype(np.int64)


def _columns_of(row: asyncpg.Record) -> AttributionColumns:
    return AttributionColumns(*(numbers_of(row[name]) for name in ("attributions", "credits", "events")))


MONTHS_READ_MAX = 2
"""Up to so many months, it costs less to send all rows than to add them up in Postgres."""


async def read_attributions(
    session: ReadSession, stretches: Sequence[Days], series: Sequence[int] | None
) -> dict[date, AttributionColumns]:
    """As sum_attributions, for all attributions. Of a range of few whole months an attribution may occur several times.

    Raises ApiProblem if a range has too many attributions.
    """
    if series is not None:
        return await sum_attributions(session, stretches, None, series)
    sums, others = {}, []
    for days in stretches:
        grains = by_grain(days)
        if grains.months is None or grains.before or grains.after or count_grains(days) > MONTHS_READ_MAX:
            others.append(days)
            continue
        await session.connection.execute(SQL["plan_for_values"])
        row = await session.connection.fetchrow(SQL["read_attributed_months"], session.organization_id, *grains.months)
        if row is not None:
            columns = sums[days.first] = _columns_of(row)
            if len(columns.attribution_ids) > ATTRIBUTIONS_MAX:
                await check_number(session, len(np.unique(columns.attribution_ids)))
    return sums | (await sum_attributions(session, others, None, None) if others else {})


class Sum(NamedTuple):
    credits: int
    events: int


class RangeVersion(NamedTuple):
    """Counters of the usage in a range of days, with or without attribution. If usage of an attribution in it changes, at
    least one of them changes."""

    events: int
    credits: int
    corrections: int
    rebuilt: int


async def select_range_versions(session: ReadSession, ranges: Sequence[Days]) -> dict[Days, RangeVersion]:
    bounds = zip(*([*days, *grain_bounds(days)] for days in ranges), strict=True)
    rows = await session.connection.fetch(SQL["select_range_versions"], session.organization_id, *bounds)
    return dict(zip(ranges, from_records(RangeVersion, rows), strict=True))


async def sum_attributions(
    session: ReadSession, stretches: Sequence[Days], attributions: Sequence[int] | None, series: Sequence[int] | None
) -> dict[date, AttributionColumns]:
    """By the first day of each range; a range without usage is left out. Each attribution occurs once in a range.

    None for attributions or series: all of them. Whole months of all series are read from the monthly rows.
    Up to two ranges. Raises ApiProblem if one has too many attributions.
    """
    await session.connection.execute(SQL["plan_for_values"])
    if series is None:
        bounds = zip(*([days.first, *grain_bounds(days)] for days in stretches), strict=True)
        rows = await session.connection.fetch(SQL["sum_attributions"], session.organization_id, *bounds, attributions)
    else:
        rows = await session.connection.fetch(
            SQL["sum_attributions_of_series"], session.organization_id, *zip(*stretches, strict=True), attributions, series
        )  # fmt: skip
    sums = {row["first"]: _columns_of(row) for row in rows}
    for columns in sums.values():
        await check_number(session, len(columns.attribution_ids))
    return sums


async def sum_spans(
    session: ReadSession, days: Days, spans: Sequence[tuple[int, date, date]], series: Sequence[int] | None
) -> list[tuple[int, int, int]]:
    """Index, credits and events of each span with usage on the days. A span is an attribution with its first and last day."""
    if not spans:
        return []
    await session.connection.execute(SQL["plan_for_values"])
    rows = await session.connection.fetch(
        SQL["sum_spans"], session.organization_id, *days, *zip(*spans, strict=True), series
    )
    return [(row["number"] - 1, row["credits"], row["events"]) for row in rows]


async def sum_totals(
    session: ReadSession, versions: Mapping[Days, RangeVersion], ranges: Sequence[Days], series: Sequence[int] | None
) -> list[Sum]:
    """Of each range, with or without attribution. `series` None: all usage, which `versions` have."""
    if series is None:
        return [Sum(versions[days].credits, versions[days].events) for days in ranges]
    rows = await session.connection.fetch(
        SQL["sum_series_totals"], session.organization_id, *zip(*ranges, strict=True), series
    )
    sums = {row["first"]: Sum(row["credits"], row["events"]) for row in rows}
    return [sums.get(days.first, Sum(0, 0)) for days in ranges]


class SpanColumns(NamedTuple):
    """A span for a statement, with the numbers of its row and person (see cells.py)."""

    attribution_id: int
    first_on: date
    last_on: date
    row: int
    person: int


class CellSum(NamedTuple):
    """Usage of a row in a month and cell (see cells.py). `asked_people` used what was asked for, `people` anything in the
    cell: those with a sum of credits other than 0. `has_people` and `has_asked_people`: whether a person used it at all."""

    row: int
    month: date
    cell: str
    credits: int
    events: int
    people: Sequence[int]
    has_people: bool
    asked_people: Sequence[int]
    has_asked_people: bool


async def sum_cells(
    session: ReadSession, spans: Sequence[SpanColumns], stretch: Days, dimensions: Sequence[str], cut_months: Sequence[date],
    days: Days, series: Sequence[int] | None,
) -> list[CellSum]:  # fmt: skip
    """`stretch`: whole months, the last one up to today."""
    if not spans:
        return []
    await session.connection.execute(SQL["plan_for_values"])
    rows = await session.connection.fetch(
        SQL["sum_cells"], session.organization_id, *stretch, *zip(*spans, strict=True), dimensions, cut_months, *days, series,
    )  # fmt: skip
    return from_records(CellSum, rows)


async def sum_month_cells(session: ReadSession, spans: Sequence[SpanColumns], months: Days) -> list[CellSum]:
    """Of spans of all time, without dimensions. `months`: the first days of the first and the last one."""
    if not spans:
        return []
    await session.connection.execute(SQL["plan_for_values"])
    columns = zip(*((span.attribution_id, span.row, span.person) for span in spans), strict=True)
    rows = await session.connection.fetch(SQL["sum_month_cells"], session.organization_id, *months, *columns)
    return from_records(CellSum, rows)
