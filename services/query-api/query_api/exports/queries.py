"""Statements for file downloads, which run as long as the client reads. Credits are micro-credits."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

import asyncpg

from query_api.attributions.domain.spans import Span
from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.exports.domain.cells import CellPatterns
from query_api.exports.domain.focus import BillingAccount, FocusDay, FocusLabel
from query_api.exports.domain.labels import Label, UsedSeries
from query_api.exports.who import WhoFilter
from query_api.usage.domain.catalog import Feature

IDLE_S = 310
"""Seconds that a transaction may wait for the client: as long as a file may take."""

Output = Callable[[bytes], Coroutine[Any, Any, None]]


async def select_exported_series(
    session: ReadSession, products: Sequence[str], feature_kinds: Sequence[str], surfaces: Sequence[str] | None
) -> list[UsedSeries]:
    if surfaces is not None:
        surfaces = [surface for surface in surfaces if "\0" not in surface]  # Postgres cannot store NUL in text
    rows = await session.connection.fetch(
        SQL["select_exported_series"], session.organization_id, products, feature_kinds, surfaces
    )
    return [
        UsedSeries(
            series_id=row["series_id"],
            product=row["product"],
            feature=Feature(row["feature_kind"], row["feature"]),
            agent_id=row["agent_id"],
            surface=row["surface"],
        )
        for row in rows
    ]


async def select_used_series(session: ReadSession, days: Days) -> set[int]:
    """Series with a row on these days."""
    await session.connection.execute(SQL["plan_for_values"])
    rows = await session.connection.fetch(SQL["select_used_series"], session.organization_id, *days)
    return {row["series_id"] for row in rows}


async def prepare_copy(session: ReadSession) -> None:
    """Set date format, sort memory and idle timeout for the rest of the transaction."""
    await session.connection.execute(SQL["prepare_copy"], f"{IDLE_S}s")


async def copy_usage(session: ReadSession, series: Sequence[int], days: Days, spans: Sequence[Span] | None) -> bytes:
    """Daily usage of these series, of these attributions (None: all), as Postgres' binary COPY, in memory."""
    data, statement = bytearray(), SQL["copy_usage"]
    selected: list[list[object]] = []
    if spans is not None:
        statement = SQL["copy_selected_usage"]
        selected = columns_of(Span, spans)[:3]

    async def output(piece: bytes) -> None:
        data.extend(piece)

    await copy_lines(session, statement, *days, series, *selected, output=output, form="binary")
    return bytes(data)


async def copy_people(
    session: ReadSession,
    labels: Sequence[Label],
    day: date,
    account: BillingAccount,
    who: WhoFilter,
    patterns: CellPatterns,
    output: Output,
) -> None:
    """Usage of a day by who used it, as CSV lines without a header. Texts and ids that match `patterns` get an apostrophe."""
    values = (*patterns, account.organization, account.time_zone, *columns_of(Label, labels), *who)
    await copy_lines(session, SQL["copy_people"], day, *values, output=output)


async def copy_focus_1_2_people(
    session: ReadSession,
    labels: Sequence[FocusLabel],
    calendar: FocusDay,
    account: BillingAccount,
    who: WhoFilter,
    output: Output,
) -> None:
    """Usage of a day as rows of FOCUS 1.2, a row for each actor and group."""
    _, *patterns = CellPatterns()
    values = (*account, *columns_of(FocusLabel, labels), *columns_of(FocusDay, [calendar]), *patterns, *who)
    await copy_lines(session, SQL["copy_focus_1_2_people"], calendar.day, *values, output=output)


async def copy_lines(
    session: ReadSession, statement: str, *values: object, output: Output, form: Literal["csv", "binary"] = "csv"
) -> None:
    """Run a COPY whose first parameter is the organization. `output` may block: only the socket buffers read ahead."""
    try:
        await session.connection.copy_from_query(
            statement, session.organization_id, *values, output=output, format=form
        )
    except asyncpg.PostgresError:
        raise  # Postgres ended the COPY; the connection can be reused
    except BaseException:
        # asyncpg mistakes the remaining data of a cancelled COPY for its end, so the connection cannot be reused.
        # Closing it also stops the COPY in Postgres.
        session.is_broken = True
        session.connection.terminate()
        raise


def columns_of(kind: type[NamedTuple], rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    """The rows as columns for unnest; one list per field of `kind`, also without rows."""
    return [[row[at] for row in rows] for at in range(len(kind._fields))]
