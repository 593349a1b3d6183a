"""Reads usage by month and cell, for organizations that show groups only (see domain/privacy.py)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from query_api.attributions.domain.crowd import Crowd
from query_api.attributions.domain.fold import NO_PERSON, UNKNOWN
from query_api.attributions.domain.privacy import Published, TooFewPeople, people_of, publish
from query_api.attributions.domain.spans import PEOPLE_MIN, PeopleGroup, Span, is_other, is_person
from query_api.attributions.domain.tally import INSIDE, PeopleRowKind, RowKey, Tally, key_by_group
from query_api.attributions.hours import sum_cells_within_days
from query_api.attributions.queries import CellSum, SpanColumns, sum_cells, sum_month_cells
from query_api.attributions.schemas import WhoQuery
from query_api.attributions.selection import Selection, too_few_people
from query_api.calendar import Days, month_of, with_whole_months
from query_api.contracts.queries import select_days
from query_api.db.session import ReadSession
from query_api.turns import IN_ARRAYS, compute


class Split(NamedTuple):
    """By what a request filters or divides usage: dimensions of series (product, feature_kind, feature, agent, surface), and
    days or weeks, or buckets within days."""

    dimensions: frozenset[str]
    by_day: bool = False
    starts: Sequence[datetime] = ()
    """Of the buckets within days, in all months that the request touches."""


KINDS_INSIDE: tuple[tuple[PeopleRowKind, str], ...] = (("group", ""), ("own", ""), ("small", INSIDE))
"""Kinds of rows inside a group, with the prefix of their ids."""
EVERYTHING = Split(frozenset({"product", "feature_kind", "feature", "agent", "surface"}), by_day=True)


def months_in(days: Days) -> list[Days]:
    """The whole months of which `days` has a part."""
    months = [month_of(days.first)]
    while months[-1].last < days.last:
        months.append(month_of(months[-1].last + timedelta(days=1)))
    return months


def cut_months(days: Days, today: date, *, by_day: bool) -> list[date]:
    """The months, by their first day, whose days are cells of their own: with `by_day` all, else those of which `days` has a
    part. A range that has not ended has all days of its last month."""

    def is_cut(month: Days) -> bool:
        return days.first > month.first or (days.last < month.last and days.last < today)

    return [month.first for month in months_in(days) if by_day or is_cut(month)]


async def read_published(
    session: ReadSession, spans: Sequence[Span], key_of: Callable[[Span], RowKey], groups: Sequence[PeopleGroup] | None,
    days: Days, today: date, series: Sequence[int] | None, split: Split,
) -> Published:  # fmt: skip
    """Usage on the days, of the series (None: all), by the rows of `key_of`, as far as it may be shown. Raises ApiProblem."""
    used = cut_days(await select_days(session), days, today)
    months = await read_months(session, spans, key_of, used, today, series, split) if used else {}
    return await show(session, count_items(months.values()), lambda: publish(months, groups))


def cut_days(known: Days | None, days: Days, today: date) -> Days | None:
    """Those of the days in months from the first to the last with usage. None if there are none. `known`: the first and last
    day with usage.

    Ranges that end today or later show the same: until the end of the month, or until today if usage has later days. Clocks of
    products may be ahead: just before midnight, usage of tomorrow may be one person's. It belongs to no row until its day begins.
    """
    if known is None:
        return None
    whole = with_whole_months(known)
    if days.last >= today:
        days = Days(days.first, today if known.last > today else whole.last)
    days = Days(max(days.first, whole.first), min(days.last, whole.last))
    return days if days.first <= days.last else None


def count_items(months: Iterable[Mapping[RowKey, Tally]]) -> int:
    """Rows and their cells, and a small share of the people in them: what publishing handles."""
    return sum(
        1 + len(tally.cells) + tally.people.size // IN_ARRAYS for tallies in months for tally in tallies.values()
    )


async def show(session: ReadSession, items: int, publish: Callable[[], Published]) -> Published:
    """What may be shown, of so many items. Raises ApiProblem."""
    try:
        published = await compute(session.organization_id, items, publish)
    except TooFewPeople:
        raise too_few_people() from None
    used = {key: tally for key, tally in published.tallies.items() if tally.credits or tally.events or tally.people}
    return published._replace(tallies=used)


async def read_months(
    session: ReadSession, spans: Sequence[Span], key_of: Callable[[Span], RowKey], days: Days, today: date,
    series: Sequence[int] | None, split: Split,
) -> dict[date, dict[RowKey, Tally]]:  # fmt: skip
    """Tallies of each month's usage, by the rows of `key_of`, with their cells. They must not be shown."""
    keys, people = dict[RowKey, int](), dict[str, int]()
    columns = [
        SpanColumns(
            span.attribution_id, span.first_on, span.last_on, keys.setdefault(key_of(span), len(keys)),
            people.setdefault(span.actor, len(people)) if is_person(span) else UNKNOWN if is_other(span) else NO_PERSON,
        )
        for span in spans
    ]  # fmt: skip
    rows = await read_sums(session, columns, days, today, series, split)
    row_keys, names = [*keys], [*people]

    def add_rows() -> dict[date, dict[RowKey, Tally]]:
        months: dict[date, dict[RowKey, Tally]] = {}
        for row in rows:
            tally = months.setdefault(row.month, {}).setdefault(row_keys[row.row], Tally())
            tally.credits += row.credits
            tally.events += row.events
            crowd = Crowd(names[person] for person in row.people)
            is_same = row.asked_people == row.people
            tally.people.join(crowd if is_same else Crowd(names[person] for person in row.asked_people))
            tally.has_people |= row.has_asked_people
            if row.has_people:
                tally.cells.setdefault(row.cell, Crowd()).join(crowd)
        return months

    return await compute(session.organization_id, len(columns) + len(rows), add_rows)


async def read_sums(
    session: ReadSession, spans: Sequence[SpanColumns], days: Days, today: date, series: Sequence[int] | None, split: Split
) -> list[CellSum]:  # fmt: skip
    """Sums by row, month and cell; of some rows and months in two parts. Monthly rows are read where they suffice."""
    whole = with_whole_months(days)
    months, stretch = Days(whole.first, month_of(whole.last).first), Days(whole.first, min(whole.last, today))
    if split.starts:
        firsts = [month.first for month in months_in(stretch)]
        dimensions = sorted(split.dimensions)
        return await sum_cells_within_days(session, spans, stretch, dimensions, split.starts, firsts, days, series)
    if days != whole or series is not None or split.dimensions or split.by_day:
        cut = cut_months(days, today, by_day=split.by_day)
        return await sum_cells(session, spans, stretch, sorted(split.dimensions), cut, days, series)
    constant = [span for span in spans if span.first_on == date.min and span.last_on == date.max]
    changing = [span for span in spans if span.first_on != date.min or span.last_on != date.max]
    sums = await sum_month_cells(session, constant, months)
    return sums + await sum_cells(session, changing, stretch, [], [], days, None)


async def read_filtered(
    session: ReadSession, selection: Selection, days: Days, today: date, series: Sequence[int] | None, split: Split
) -> Published:
    """Usage of the filtered group, with the groups in it, or label. Raises ApiProblem unless all of it may be shown."""
    if selection.label is not None:
        value = selection.label[1]
        published = await read_published(session, selection.spans, key_by_filter, None, days, today, series, split)
        rows: set[RowKey] = {("value", value)}
        row: RowKey = ("value", value)
    else:
        published = await read_published(
            session, selection.spans, key_by_group, selection.groups, days, today, series, split
        )
        rows = {(kind, prefix + group) for kind, prefix in KINDS_INSIDE for group in selection.subtree}
        row = ("group", selection.group or "")
    kept = {key: tally for key, tally in published.tallies.items() if key in rows}
    if row in published.merged or not people_of(kept.values()).has(PEOPLE_MIN):
        raise too_few_people()
    return Published(kept, published.merged & rows)


def key_by_filter(span: Span) -> RowKey:
    return ("no_value", "no_value") if span.filtered is None else ("value", span.filtered)


def refuse_crossed(query: WhoQuery, by: str | None = None, label_key: str | None = None) -> None:
    """Raises ApiProblem if a request divides usage by groups and by labels, or by two labels: the usage of both could be
    subtracted from that of one."""
    labels = {key for key in (label_key, query.label and query.label.partition(":")[0]) if key}
    if len(labels) + (query.group is not None or by == "group") > 1:
        raise too_few_people()
