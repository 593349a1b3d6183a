"""Usage of attributions in a range and the range before, narrowed to what the organization shows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from query_api.attributions.domain.privacy import TooFewPeople, has_few_before, hide_small
from query_api.attributions.domain.spans import PEOPLE_MIN, PeopleSettings, Span, is_person
from query_api.attributions.domain.tally import PeopleRow, Use, add_up, build_rows, build_tree, flatten, key_by_group
from query_api.attributions.queries import AttributionColumns, has_small_agent, sum_attributions, sum_spans
from query_api.attributions.schemas import WhoQuery
from query_api.attributions.selection import Selection, select_who, too_few_people
from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.turns import compute


async def read_uses(
    session: ReadSession, selection: Selection, days: Days, before: Days | None, series: Sequence[int] | None
) -> list[Use]:
    """Usage of the selected attributions. `series` None: all series.

    An attribution whose group changes within the ranges has a Use for each of its spans.
    """
    ranges = [before, days] if before else [days]
    whole = Days(ranges[0].first, days.last)
    constant, changing = await compute(len(selection.spans), divide, selection.spans, whole)
    picked = list(constant) if selection.is_filtered else None
    sums = await sum_attributions(session, ranges, picked, series) if constant else {}
    columns, earlier = sums.get(days.first), sums.get(before.first) if before else None
    uses = await compute(len(constant), pair, constant, columns, earlier)
    if changing:
        uses += await read_changing(session, changing, days, before, series)
    return uses


def divide(spans: Iterable[Span], whole: Days) -> tuple[dict[int, Span], list[Span]]:
    """The attributions that are in one group in the whole range, and the spans of the others in it."""
    constant, changing = dict[int, Span](), list[Span]()
    for span in spans:
        if span.first_on <= whole.first and whole.last <= span.last_on:
            constant[span.attribution_id] = span
        elif span.first_on <= whole.last and whole.first <= span.last_on:
            changing.append(span)
    return constant, changing


def pair(
    constant: Mapping[int, Span], columns: AttributionColumns | None, earlier: AttributionColumns | None
) -> list[Use]:
    """Usage of attributions in a range and in the range before."""
    uses = []
    unused = {} if earlier is None else dict(
        zip(earlier.attribution_ids, zip(earlier.credits, earlier.events, strict=True), strict=True)
    )  # fmt: skip
    nothing = (0, 0)
    if columns:
        for attribution, credits, events in zip(*columns, strict=True):
            if attribution in constant:
                uses.append(Use(constant[attribution], credits, events, *unused.pop(attribution, nothing)))
    uses += [Use(constant[key], 0, 0, *sums) for key, sums in unused.items() if key in constant]
    return uses


async def read_changing(
    session: ReadSession, changing: Sequence[Span], days: Days, before: Days | None, series: Sequence[int] | None
) -> list[Use]:
    """Usage of attributions whose group changes within the ranges, from daily rows."""
    sums: dict[int, list[int]] = {}
    spans = [(span.attribution_id, span.first_on, span.last_on) for span in changing]
    for at, stretch in ((0, days), (2, before)):
        if stretch is None:
            continue
        for number, credits, events in await sum_spans(session, stretch, spans, series):
            sums.setdefault(number, [0, 0, 0, 0])[at : at + 2] = credits, events
    return [Use(changing[number], *sum_of) for number, sum_of in sums.items()]


def narrow(selection: Selection, uses: Sequence[Use]) -> list[Use]:
    """The uses of the filtered group and label. Unless the organization shows only groups, the statements have filtered.

    A group or value that is not a row of its own, because too few people are in it, is refused. Raises ApiProblem.
    """
    kept = list(uses)
    if not selection.needs_five:
        return kept
    try:
        if selection.label is not None:
            _, value = selection.label
            values = add_up(
                kept, lambda span: ("no_value", "no_value") if span.filtered is None else ("value", span.filtered)
            )
            check_shown(hide_small(build_rows(values)), value, "value")
            kept = [use for use in kept if use.span.filtered == value]
        if selection.group is not None:
            check_shown(hide_small(build_tree(add_up(kept, key_by_group), selection.groups)), selection.group, "group")
            kept = [use for use in kept if use.span.group_id in selection.subtree]
    except TooFewPeople:
        raise too_few_people() from None
    if len({use.span.actor for use in kept if is_person(use.span) and (use.events or use.credits)}) < PEOPLE_MIN:
        raise too_few_people()
    return kept


def check_shown(rows: Sequence[PeopleRow], row_id: str, kind: str) -> None:
    """Raises TooFewPeople."""
    if not any(row.kind == kind and row.id == row_id for row in flatten(rows)):
        raise TooFewPeople


def hides_previous(selection: Selection, uses: Sequence[Use]) -> bool:
    """Whether usage of the previous range is about too few people to be shown."""
    if not selection.needs_five:
        return False
    people = {use.span.actor for use in uses if is_person(use.span) and (use.previous or use.previous_events)}
    return 0 < len(people) < PEOPLE_MIN


def shown_rows(settings: PeopleSettings, rows: list[PeopleRow]) -> tuple[list[PeopleRow], bool]:
    """The rows as the organization shows them, and whether their previous usage is shown. Raises ApiProblem."""
    if settings.people != "groups_only":
        return rows, True
    try:
        rows = hide_small(rows)
    except TooFewPeople:
        raise too_few_people() from None
    return rows, not has_few_before(rows)


class Chosen(NamedTuple):
    """Spans of the attributions that a request selects, and whether their usage in the previous range is shown."""

    spans: Sequence[Span]
    shows_previous: bool
    needs_five: bool


async def choose_spans(
    session: ReadSession,
    query: WhoQuery,
    today: date,
    days: Days,
    before: Days | None,
    series: Sequence[int],
    *,
    with_agents: bool,
) -> Chosen | None:
    """What the filters of a table or chart of these series select; None without a filter. Raises ApiProblem.

    `with_agents`: the answer has a row for each agent, which is refused if fewer than five people used one of them.
    """
    if not query.names_who:
        return None
    selection = await select_who(session, query, today)
    if not selection.needs_five:
        return Chosen(selection.spans, shows_previous=True, needs_five=False)
    uses = await read_uses(session, selection, days, before, series)
    uses = await compute(len(uses), narrow, selection, uses)
    spans = [span for span in selection.spans if selection.matches(span)]
    if with_agents and await has_small_agent(session, spans, [days, before] if before else [days], series):
        raise too_few_people()
    return Chosen(spans, shows_previous=not hides_previous(selection, uses), needs_five=True)
