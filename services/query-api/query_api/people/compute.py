"""Computes usage by person, group or label."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, get_args

import numpy as np
from flexcredits_schemas.events import PRODUCTS, FeatureKind

from query_api.attributions.book import Book, BookKey, Books
from query_api.attributions.domain.fold import NO_USE, Fold, grown
from query_api.attributions.domain.spans import PeopleGroup, PeopleSettings, Span, is_person
from query_api.attributions.domain.tally import (
    NO_VALUE,
    PINNED,
    UNATTRIBUTED,
    PeopleRow,
    RowKey,
    Tally,
    Use,
    add_up,
    build_rows,
    build_tree,
    in_order,
    key_by_group,
    key_by_person,
    key_by_value,
    row_of,
)
from query_api.attributions.queries import (
    Sum,
    select_actor_names,
    select_people_groups,
    select_people_settings,
    select_range_versions,
    sum_totals,
)
from query_api.attributions.selection import Selection, check_label_key, refuse_people, select_who
from query_api.attributions.usage import hides_previous, narrow, read_uses, shown_rows
from query_api.calendar import Days
from query_api.contracts.range import choose_range, extend_to_months
from query_api.db.session import ReadSession
from query_api.http.problems import invalid_parameter
from query_api.people.domain.distribution import Band, cut_bands, find_most_changed, find_movers
from query_api.people.schemas import PeopleFilter, PeopleView
from query_api.turns import compute
from query_api.usage.domain.series import PickedSeries
from query_api.usage.queries import select_series
from query_api.usage.views import kinds_of

ALL_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)


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


async def read_people(
    session: ReadSession, books: Books, query: PeopleFilter, view: PeopleView, today: date
) -> PeopleTable:
    """Usage in the view's rows. Raises ApiProblem."""
    settings = await select_people_settings(session)
    check_view(settings, view)
    days, before = await choose_range(session, query, today)
    series = await pick_series(session, query)
    asked = Asked(query, view, today, days, before, extend_to_months(query, days), series)
    if query.names_who:
        return await read_selected(session, settings, asked)
    return await read_all(session, books, settings, asked)


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


async def read_selected(session: ReadSession, settings: PeopleSettings, asked: Asked) -> PeopleTable:
    """Usage of the attributions that the request's filters select."""
    view, before = asked.view, asked.before
    label_key = view.label_key if view.by == "label" else None
    selection = await select_who(session, asked.query, asked.today, with_groups=view.by == "group", label_key=label_key)
    uses = await read_uses(session, selection, asked.stretch, before, asked.series)
    return await compute(len(uses), build_selected, settings, asked, selection, uses)


def build_selected(settings: PeopleSettings, asked: Asked, selection: Selection, uses: Sequence[Use]) -> PeopleTable:
    """Raises ApiProblem."""
    view, uses = asked.view, narrow(selection, uses)
    before = None if hides_previous(selection, uses) else asked.before
    tallies = add_up(uses, KEYS_OF[view.by])
    bands = cut_bands(credits_of_people(uses).values()) if view.by == "person" else []
    return build_table(settings, asked, before, tallies, selection.groups, bands)


async def read_all(session: ReadSession, books: Books, settings: PeopleSettings, asked: Asked) -> PeopleTable:
    """Usage of all attributions, and the rest of the organization's."""
    view, membership = asked.view, asked.query.membership if asked.view.by == "group" else None
    key = BookKey(
        session.organization_id or 0, view.by, membership, view.label_key, asked.today if membership == "now" else None
    )
    totals = await sum_totals(session, asked.ranges, asked.series)
    versions = await select_range_versions(session, asked.ranges, totals)
    ranges = [(stretch, versions[stretch.first]) for stretch in asked.ranges]
    book, folds = await books.read(session, key, KEYS_OF[view.by], asked.today, ranges, asked.series)
    now, earlier = folds[-1], folds[0] if asked.before else NO_USE
    total = totals.get(asked.stretch.first, Sum(0, 0))
    before = totals.get(asked.before.first, Sum(0, 0)) if asked.before else Sum(0, 0)
    rest = Tally(
        total.credits - int(now.credits.sum()), total.events - int(now.events.sum()), before.credits - int(earlier.credits.sum())
    )  # fmt: skip
    if view.by == "person":
        totals_of = Totals(total.credits, total.events, before.credits, int(now.has_used.sum()))
        table = PersonTable(book, now, earlier, rest)
        return await compute(len(book.keys), table.build_table, settings, asked, totals_of)
    groups = await select_people_groups(session) if view.by == "group" else []

    def build() -> PeopleTable:
        tallies = book.tallies(now, earlier)
        if rest.credits or rest.events or rest.previous:
            tallies.setdefault(NO_VALUE if view.by == "label" else UNATTRIBUTED, Tally()).join(rest)
        return build_table(settings, asked, asked.before, tallies, groups, [])

    return await compute(book.attributions, build)


def build_table(
    settings: PeopleSettings, asked: Asked, before: Days | None, tallies: Mapping[RowKey, Tally], groups: Sequence[PeopleGroup],
    bands: Sequence[Band],
) -> PeopleTable:  # fmt: skip
    total = Tally()
    for tally in tallies.values():
        total.join(tally)
    rows = build_tree(tallies, groups) if asked.view.by == "group" else build_rows(tallies)
    if asked.view.by != "person":
        rows, shows_previous = shown_rows(settings, rows)
        before = before if shows_previous else None
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
        ordered = np.array(order.rows, np.int64)
        numbers = ordered[is_used[ordered]]
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
            tally.people = {row_id}
        if kind == "removed":
            tally.people = {
                self.book.people[each]
                for each in tuple(self.book.removed)  # a copy: another request may add people
                if each < len(self.now.has_used) and self.now.has_used[each]
            }
        return tally

    def build(self, row: int) -> PeopleRow:
        return row_of(self.book.keys[row], self.tally(row))


def check_view(settings: PeopleSettings, view: PeopleView) -> None:
    """Raises ApiProblem."""
    if view.by == "person":
        refuse_people(settings.people)
    if view.by == "label":
        if view.label_key is None:
            raise invalid_parameter("label_key", "is required with `by=label`")
        check_label_key("label_key", view.label_key, settings)
    elif view.label_key is not None:
        raise invalid_parameter("label_key", "only with `by=label`")


async def pick_series(session: ReadSession, query: PeopleFilter) -> list[int] | None:
    """The series that the filters select; None: all, without a filter. Raises ApiProblem."""
    if query.view is not None and query.product is None:
        raise invalid_parameter("view", "needs a `product`")
    if (query.product, query.surface, query.agent, query.feature) == (None, None, None, None):
        return None
    kinds = ALL_KINDS if query.product is None or query.view is None else kinds_of(query.product, query.view)
    series = await select_series(session, PRODUCTS if query.product is None else [query.product], kinds)
    return sorted(filter_series(series, query.surface, query.agent, query.feature))


def filter_series(
    series: PickedSeries, surfaces: Collection[str] | None, agent: str | None, feature: str | None
) -> list[int]:
    return [
        series_id
        for series_id, one in series.of_surfaces(surfaces).by_id.items()
        if (agent is None or one.agent_id == agent) and (feature is None or one.feature.feature == feature)
    ]


def credits_of_people(uses: Sequence[Use]) -> dict[str, int]:
    """Of each person who was used in the range, removed people included."""
    credits: dict[str, int] = {}
    for use in uses:
        if is_person(use.span) and (use.credits or use.events):
            credits[use.span.actor] = credits.get(use.span.actor, 0) + use.credits
    return credits


async def read_names(session: ReadSession, rows: Sequence[PeopleRow]) -> dict[RowKey, str]:
    """Names of people and service accounts, as far as the organization shows them. The others are named by their id."""
    named = [row.id for row in rows if row.kind in ("person", "service_account")]
    names = await select_actor_names(session, named)
    return {(row.kind, row.id): names[row.id] for row in rows if row.id in names}
