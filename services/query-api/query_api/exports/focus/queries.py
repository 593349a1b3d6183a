"""Statements for FOCUS 1.4, which run as long as the client reads. Credits are micro-credits."""

from collections.abc import Sequence
from datetime import date

from query_api.db.session import ReadSession
from query_api.db.statements import SQL
from query_api.exports.queries import Output, copy_lines
from query_api.exports.who import WhoFilter


async def copy_focus_people(
    session: ReadSession, series: Sequence[int], day: date, who: WhoFilter, output: Output
) -> None:
    """Usage of a day as CSV lines of PEOPLE_ROWS, passed to `output` as Postgres sends them. `label` is an index of `series`."""
    await copy_lines(session, SQL["copy_focus_people"], day, series, *who, output=output)
