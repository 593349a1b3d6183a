"""Usage of attributions in a range and the range before, and what filters select of it."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import NamedTuple

from query_api.attributions.cells import Split, read_filtered, refuse_crossed
from query_api.attributions.domain.spans import Span
from query_api.attributions.domain.tally import Use
from query_api.attributions.queries import AttributionColumns, sum_attributions, sum_spans
from query_api.attributions.schemas import WhoQuery
from query_api.attributions.selection import Selection, select_who
from query_api.calendar import Days, with_whole_months
from query_api.db.session import ReadSession
from query_api.http.problems import ApiProblem
from query_api.turns import compute


async def read_uses(
    session: ReadSession, selection: Selection, days: Days, before: Days | None, series: Sequence[int] | None
) -> list[Use]:
    """Usage of the selected attributions. `series` None: all series.

    An attribution whose group changes within the ranges has a Use for each of its spans.
    """
    ranges = [before, days] if before else [days]
    whole = Days(ranges[0].first, days.last)
    constant, changing = await compute(session.organization_id, len(selection.spans), divide, selection.spans, whole)
    picked = list(constant) if selection.is_filtered else None
    sums = await sum_attributions(session, ranges, picked, series) if constant else {}
    columns, earlier = sums.get(days.first), sums.get(before.first) if before else None
    uses = await compute(session.organization_id, len(constant), pair, constant, columns, earlier)
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
    unused = {attribution: sums for attribution, *sums in _rows_of(earlier)}
    nothing = (0, 0)
    for attribution, credits, events in _rows_of(columns):
        if attribution in constant:
            uses.append(Use(constant[attribution], credits, events, *unused.pop(attribution, nothing)))
    uses += [Use(constant[key], 0, 0, *sums) for key, sums in unused.items() if key in constant]
    return uses


def _rows_of(columns: AttributionColumns | None) -> Iterable[tuple[int, int, int]]:
    return zip(*(column.tolist() for column in columns), strict=True) if columns else ()


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
    split: Split,
    hours: Sequence[datetime] = (),
) -> Chosen | None:
    """What the filters of a table or chart of these series select; None without a filter. Raises ApiProblem.

    `split`: by what the answer divides usage. While only groups are shown, it is refused if a part is about one to four people.
    `hours`: starts of all hours of the months, if its buckets are shorter.
    """
    if not query.names_who:
        return None
    selection = await select_who(session, query, today)
    if not selection.needs_five:
        return Chosen(selection.spans, shows_previous=True, needs_five=False)
    refuse_crossed(query)
    if split.starts:  # what months, days and hours merge, no shorter bucket shows
        await read_filtered(session, selection, with_whole_months(days), today, None, Split(frozenset()))
        await read_filtered(session, selection, days, today, series, split._replace(starts=()))
        if hours:
            await read_filtered(session, selection, days, today, series, split._replace(starts=hours))
    await read_filtered(session, selection, days, today, series, split)
    # As in read_filtered(), without usage after today.
    spans = [span for span in selection.spans if selection.matches(span) and span.first_on <= today]
    spans = [span._replace(last_on=min(span.last_on, today)) for span in spans]
    shows_previous = False
    if before is not None:
        with suppress(ApiProblem):
            await read_filtered(session, selection, before, today, series, split)
            shows_previous = True
    return Chosen(spans, shows_previous, needs_five=True)
