"""Computes usage by person, group or label."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import NamedTuple, get_args

from flexcredits_schemas.events import PRODUCTS, FeatureKind

from query_api.attributions.domain.spans import is_person
from query_api.attributions.domain.tally import (
    NO_VALUE,
    UNATTRIBUTED,
    PeopleRow,
    RowKey,
    Tally,
    Use,
    add_up,
    build_rows,
    build_tree,
    key_by_group,
    key_by_person,
    key_by_value,
)
from query_api.attributions.queries import Sum, select_actor_names, sum_totals
from query_api.attributions.selection import Selection, check_label_key, refuse_people, select_who
from query_api.attributions.usage import hides_previous, narrow, read_uses, shown_rows
from query_api.calendar import Days
from query_api.contracts.range import choose_range, extend_to_months
from query_api.db.session import ReadSession
from query_api.http.problems import invalid_parameter
from query_api.people.domain.distribution import Band, cut_bands, find_movers
from query_api.people.schemas import PeopleFilter, PeopleView
from query_api.usage.domain.series import PickedSeries
from query_api.usage.queries import select_series
from query_api.usage.views import kinds_of

ALL_KINDS: tuple[FeatureKind, ...] = get_args(FeatureKind)


class PeopleTable(NamedTuple):
    """All rows of a view, in micro-credits. Without a previous range `days_before` is None."""

    selection: Selection
    days: Days
    days_before: Days | None
    rows: Sequence[PeopleRow]
    """Sorted. Rows that combine usage, such as Unattributed, are in `pinned`."""
    pinned: Sequence[PeopleRow]
    total: Tally
    bands: Sequence[Band]
    movers: Sequence[PeopleRow]


async def read_people(session: ReadSession, query: PeopleFilter, view: PeopleView, today: date) -> PeopleTable:
    """Usage in the view's rows. Raises ApiProblem."""
    selection = await select_who(
        session, query, today, with_groups=view.by == "group", label_key=view.label_key if view.by == "label" else None
    )
    check_view(selection, view)
    days, before = await choose_range(session, query, today)
    series = await pick_series(session, query)
    uses = narrow(selection, await read_uses(session, selection, extend_to_months(query, days), before, series))
    rest = await read_rest(session, selection, extend_to_months(query, days), before, series, uses)
    if hides_previous(selection, uses):
        before = None
    key_of = {"person": key_by_person, "group": key_by_group, "label": key_by_value}[view.by]
    tallies = add_up(uses, key_of)
    if rest.credits or rest.events or rest.previous:
        tallies.setdefault(NO_VALUE if view.by == "label" else UNATTRIBUTED, Tally()).join(rest)
    total = Tally()
    for tally in tallies.values():
        total.join(tally)
    rows = build_tree(tallies, selection.groups) if view.by == "group" else build_rows(tallies)
    if view.by != "person":
        rows, shows_previous = shown_rows(selection, rows)
        before = before if shows_previous else None
    pinned = sorted((row for row in rows if row.kind in PINNED), key=lambda row: PINNED.index(row.kind))
    rows = [row for row in rows if row.kind not in PINNED]
    bands = cut_bands(credits_of_people(uses)) if view.by == "person" else []
    return PeopleTable(selection, days, before, rows, pinned, total, bands, find_movers(rows) if before else [])


PINNED = ("removed", "small", "no_group", "no_value", "unattributed")
"""Kinds of rows that are not sorted among the others, in their order."""


def check_view(selection: Selection, view: PeopleView) -> None:
    """Raises ApiProblem."""
    if view.by == "person":
        refuse_people(selection.settings)
    if view.by == "label":
        if view.label_key is None:
            raise invalid_parameter("label_key", "is required with `by=label`")
        check_label_key("label_key", view.label_key, selection.settings)
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


async def read_rest(
    session: ReadSession, selection: Selection, days: Days, before: Days | None, series: Sequence[int] | None, uses: Sequence[Use]
) -> Tally:  # fmt: skip
    """Usage without any attribution: what is missing to the total. None if the request filters by attribution."""
    if selection.is_filtered or selection.needs_five:
        return Tally()
    totals = await sum_totals(session, [before, days] if before else [days], series)
    total, earlier = totals.get(days.first, Sum(0, 0)), totals.get(before.first, Sum(0, 0)) if before else Sum(0, 0)
    return Tally(
        total.credits - sum(use.credits for use in uses),
        total.events - sum(use.events for use in uses),
        earlier.credits - sum(use.previous for use in uses),
    )


def credits_of_people(uses: Sequence[Use]) -> list[int]:
    """Of each person who was used in the range, removed people included."""
    credits: dict[str, int] = {}
    for use in uses:
        if is_person(use.span) and (use.credits or use.events):
            credits[use.span.actor] = credits.get(use.span.actor, 0) + use.credits
    return list(credits.values())


async def read_names(session: ReadSession, rows: Sequence[PeopleRow]) -> dict[RowKey, str]:
    """Names of people and service accounts, as far as the organization shows them. The others are named by their id."""
    named = [row.id for row in rows if row.kind in ("person", "service_account")]
    names = await select_actor_names(session, named)
    return {(row.kind, row.id): names[row.id] for row in rows if row.id in names}
