"""Computes usage by person, group or label."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, get_args

import numpy as np
from flexcredits_schemas.events import PRODUCTS, FeatureKind

from query_api.attributions.book import BookKey
from query_api.attributions.domain.fold import NO_USE
from query_api.attributions.domain.spans import PeopleSettings, is_person
from query_api.attributions.domain.tally import (
    NO_VALUE,
    UNATTRIBUTED,
    PeopleRow,
    RowKey,
    Tally,
    Use,
    add_up,
    flatten,
)
from query_api.attributions.months import Kept, read_groups
from query_api.attributions.queries import (
    PeopleVersion,
    Sum,
    select_actor_names,
    select_people_version,
    select_range_versions,
    sum_totals,
)
from query_api.attributions.selection import Selection, check_label_key, refuse_people, select_who
from query_api.attributions.usage import read_uses
from query_api.calendar import Days
from query_api.contracts.range import choose_range, extend_to_months
from query_api.db.session import ReadSession
from query_api.http.problems import invalid_parameter
from query_api.people.domain.distribution import cut_bands
from query_api.people.domain.search import has_words, words_of
from query_api.people.groups_only import read_shown
from query_api.people.schemas import PeopleFilter, PeopleView
from query_api.people.table import KEYS_OF, Asked, PeopleTable, PersonTable, Totals, build_table
from query_api.turns import IN_ARRAYS, compute
from query_api.usage.domain.series import PickedSeries
from query_api.usage.queries import select_series
from query_api.usage.views import kinds_of

ALL_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)
NAMED = ("person", "service_account")
"""Kinds of rows whose names are in the directory."""


async def read_people(
    session: ReadSession, kept: Kept, query: PeopleFilter, view: PeopleView, today: date, days: Days | None = None
) -> PeopleTable:
    """Usage in the view's rows, on `days` or the query's range. Raises ApiProblem."""
    people = await select_people_version(session)
    check_view(people.settings, view)
    days, before = (days, None) if days else await choose_range(session, query, today)
    series = await pick_series(session, query)
    asked = Asked(query, view, today, days, before, extend_to_months(query, days), series)
    if people.people == "groups_only":
        return await read_shown(session, kept, people, asked)
    if query.names_who:
        return await read_selected(session, people.settings, asked)
    return await read_all(session, kept, people, asked)


async def read_selected(session: ReadSession, settings: PeopleSettings, asked: Asked) -> PeopleTable:
    """Usage of the attributions that the request's filters select."""
    view, before = asked.view, asked.before
    label_key = view.label_key if view.by == "label" else None
    selection = await select_who(session, asked.query, asked.today, with_groups=view.by == "group", label_key=label_key)
    uses = await read_uses(session, selection, asked.stretch, before, asked.series)
    return await compute(session.organization_id, len(uses), build_selected, settings, asked, selection, uses)


def build_selected(settings: PeopleSettings, asked: Asked, selection: Selection, uses: Sequence[Use]) -> PeopleTable:
    view = asked.view
    tallies = add_up(uses, KEYS_OF[view.by])
    bands = cut_bands(np.fromiter(credits_of_people(uses).values(), np.int64)) if view.by == "person" else []
    return build_table(settings, asked, asked.before, tallies, selection.groups, bands)


async def read_all(session: ReadSession, kept: Kept, people: PeopleVersion, asked: Asked) -> PeopleTable:
    """Usage of all attributions, and the rest of the organization's."""
    view, membership = asked.view, asked.query.membership if asked.view.by == "group" else None
    key = BookKey(
        session.organization_id or 0, view.by, membership, view.label_key, asked.today if membership == "now" else None
    )
    versions = await select_range_versions(session, asked.ranges)
    *earlier_totals, total = await sum_totals(session, versions, asked.ranges, asked.series)
    book, folds = await kept.books.read(
        session, key, people, KEYS_OF[view.by], asked.today, [*versions.items()], asked.series
    )
    now, earlier = folds[-1], folds[0] if asked.before else NO_USE
    before = earlier_totals[0] if earlier_totals else Sum(0, 0)
    rest = Tally(
        total.credits - int(now.credits.sum()), total.events - int(now.events.sum()), before.credits - int(earlier.credits.sum())
    )  # fmt: skip
    if view.by == "person":
        totals_of = Totals(total.credits, total.events, before.credits, int(now.has_used.sum()))
        table = PersonTable(book, now, earlier, rest)
        return await compute(
            session.organization_id, len(book.keys) // IN_ARRAYS, table.build_table, people.settings, asked, totals_of
        )
    groups = await read_groups(session, kept.cache, people) if view.by == "group" else []

    def build() -> PeopleTable:
        tallies = book.tallies(now, earlier)
        if rest.credits or rest.events or rest.previous:
            tallies.setdefault(NO_VALUE if view.by == "label" else UNATTRIBUTED, Tally()).join(rest)
        return build_table(people.settings, asked, asked.before, tallies, groups, [])

    return await compute(session.organization_id, book.attributions // IN_ARRAYS, build)


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


async def find_rows(session: ReadSession, table: PeopleTable, search: str) -> Sequence[Any]:
    """The rows that a search finds. It compares only what the organization shows: Postgres gives names if it shows names."""
    size = count_rows(table.rows)
    words = words_of(search)
    keys = await compute(session.organization_id, size, lambda: [table.order(row)[2:] for row in table.rows])
    names = await select_actor_names(session, [row_id for row_id, kind in keys if kind in NAMED])

    def is_found(row: Any, row_id: str, kind: str) -> bool:
        texts = [row_id, names.get(row_id, "")] if kind in NAMED else []
        if isinstance(row, PeopleRow):
            texts += [text for each in flatten([row]) for text in (each.name, each.id)]
        return has_words(words, *texts)

    return await compute(
        session.organization_id,
        size,
        lambda: [row for row, key in zip(table.rows, keys, strict=True) if is_found(row, *key)],
    )


def count_rows(rows: Sequence[Any]) -> int:
    """With the rows inside them. Rows that are not built yet have none."""
    if rows and not isinstance(rows[0], PeopleRow):
        return len(rows)
    return sum(1 for _ in flatten(rows))


async def read_names(session: ReadSession, rows: Sequence[PeopleRow]) -> dict[RowKey, str]:
    """Names of people and service accounts, as far as the organization shows them. The others are named by their id."""
    named = [row.id for row in rows if row.kind in NAMED]
    names = await select_actor_names(session, named)
    return {(row.kind, row.id): names[row.id] for row in rows if row.id in names}
