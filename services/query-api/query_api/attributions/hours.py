"""Reads usage of attributions within days, from the ledger: rollups of quarters of an hour do not name them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from flexcredits_schemas.calendar import EPOCH, midnight

from query_api.attributions.domain.spans import Span
from query_api.attributions.queries import CellSum, SpanColumns, select_range_versions, sum_spans
from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.http.problems import invalid_parameter

EVENTS_MAX = 200_000
"""That a request reads from the ledger, in about a second. No index is by actor, so it reads all events of the organization
on these days with an attribution. Rows of days say how many there are."""
CELL_EVENTS_MAX = 20_000
"""As EVENTS_MAX, of whole months while only groups are shown: each may be a cell, and merging takes time with their square."""
BYTES_MAX = 512 * 2**20
"""Of partitions that are read from beginning to end if the ledger has no index for hours of people."""
BUCKETS_WITHOUT_DAY = range(-16, 0)
"""Partitions of the ledger for ids that do not say when they were created."""
Buckets = Sequence[int] | None
"""Partitions of the ledger; None: all."""


async def sum_quarters_of_some(
    session: ReadSession, spans: Sequence[Span], days: Days, groups: Mapping[int, int], starts: Sequence[datetime]
) -> list[tuple[int, int, int, int]]:
    """Index of the bucket in `starts`, group, credits and events of the spans. `groups` maps series ids to group numbers.

    Raises ApiProblem, also if the ledger has not all usage of the days.
    """
    selected, zone = (
        [(span.attribution_id, span.first_on, span.last_on) for span in spans],
        session.organization.time_zone,
    )

    async def read(numbers: Sequence[int], buckets: Buckets) -> list[Any]:
        bounds = bounds_of([selected[number] for number in numbers], days, zone)
        grouped = groups.keys(), groups.values()
        return await session.connection.fetch(
            SQL["sum_selected_quarters"],
            session.organization_id,
            starts,
            *grouped,
            *bounds,
            *instants(days, zone),
            buckets,
        )

    rows = await read_ledger(session, selected, days, [*groups], read)
    return [(row["place"], row["number"], row["credits"], row["events"]) for row in rows]


async def sum_cells_within_days(
    session: ReadSession, spans: Sequence[SpanColumns], stretch: Days, dimensions: Sequence[str], starts: Sequence[datetime],
    months: Sequence[date], days: Days, series: Sequence[int] | None,
) -> list[CellSum]:  # fmt: skip
    """As sum_cells(), with a cell for each bucket that begins in `starts`. `months`: all that `stretch` touches.

    Raises ApiProblem as sum_quarters_of_some().
    """
    zone = session.organization.time_zone
    begins = [midnight(month, zone) for month in months]

    async def read(numbers: Sequence[int], buckets: Buckets) -> list[Any]:
        picked = [spans[number] for number in numbers]
        bounds = bounds_of([span[:3] for span in picked], stretch, zone)
        rows_and_people = [span.row for span in picked], [span.person for span in picked]
        return await session.connection.fetch(
            SQL["sum_cells_within_days"], session.organization_id, *bounds, *rows_and_people, dimensions, starts, begins, months,
            *instants(days, zone), series, *instants(stretch, zone), buckets,
        )  # fmt: skip

    rows = await read_ledger(session, [span[:3] for span in spans], stretch, None, read, CELL_EVENTS_MAX, "_all")
    return [CellSum(*(row[name] for name in CellSum._fields)) for row in rows]


async def read_ledger(
    session: ReadSession, spans: Sequence[tuple[int, date, date]], days: Days, series: Sequence[int] | None,
    read: Callable[[Sequence[int], Buckets], Awaitable[list[Any]]], most: int = EVENTS_MAX, suffix: str = "",
) -> list[Any]:  # fmt: skip
    """What `read` returns of the spans with usage, by their numbers, if it adds up to the rows of days.

    Raises ApiProblem if it does not, and for too many events. Its sums are in the columns credits and events with `suffix`.
    """
    used = await sum_spans(session, days, spans, series)
    if not used:
        return []
    expected = sum(credits for _, credits, _ in used), sum(events for _, _, events in used)
    if await session.connection.fetchval(SQL["count_attributed"], session.organization_id, *days) > most:
        what = f"more than {most:,} events from {days.first} to {days.last} name an actor, a group or labels"
        raise invalid_parameter("interval", f"{what}; use fewer days, or `day` or longer")
    numbers = [number for number, _, _ in used]
    version = (await select_range_versions(session, [days]))[days]
    await session.connection.execute(SQL["plan_for_values"])
    # An id is mostly as old as its event; else all partitions are read, which takes longer. Corrections have later ids and count
    # no event: without some that cancel each other, sums would be right and hours wrong.
    near = [] if version.corrections else [[*BUCKETS_WITHOUT_DAY, *buckets_near(days)]]
    for buckets in (*near, None):
        await check_size(session, buckets)
        rows = await read(numbers, buckets)
        if (sum(row[f"credits{suffix}"] for row in rows), sum(row[f"events{suffix}"] for row in rows)) == expected:
            return rows
    raise invalid_parameter("interval", "the events of these days are not kept any more; use `day` or longer")


async def check_size(session: ReadSession, buckets: Buckets) -> None:
    """Raises ApiProblem if these partitions of the ledger are too large to be read without an index."""
    [row] = await session.connection.fetch(SQL["select_ledger_size"], buckets)
    if not row["has_index"] and row["bytes"] > BYTES_MAX:
        what = "this installation counts too much usage for hours of these days with `actor`, `group` or `label`"
        detail = f"{what}: use fewer days, or `day` or longer. Its operator can build an index for them"
        raise invalid_parameter("interval", detail)


def bounds_of(
    spans: Sequence[tuple[int, date, date]], days: Days, zone: str | None
) -> tuple[list[int], list[datetime], list[datetime]]:
    """Attributions, and the instants, half-open, between which their usage on the days counts."""
    cut = [(max(first_on, days.first), min(last_on, days.last)) for _, first_on, last_on in spans]
    begins = {day: midnight(day, zone) for day in {first for first, _ in cut}}
    ends = {day: midnight(day + timedelta(days=1), zone) for day in {last for _, last in cut}}
    return [span[0] for span in spans], [begins[first] for first, _ in cut], [ends[last] for _, last in cut]


def instants(days: Days, zone: str | None) -> tuple[datetime, datetime]:
    """Half-open."""
    return midnight(days.first, zone), midnight(days.last + timedelta(days=1), zone)


def buckets_near(days: Days) -> range:
    """Partitions of ids that were created on the days, or on a day before or after them in any zone."""
    return range((days.first - EPOCH).days - 1, (days.last - EPOCH).days + 2)
