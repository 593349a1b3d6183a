"""The two ranges of days that a request compares."""

from datetime import date
from typing import NamedTuple

from query_api.calendar import Days, InvalidRange, read_days
from query_api.contracts.range import choose_range
from query_api.db.session import ReadSession
from query_api.explain.domain.decompose import Lengths
from query_api.explain.schemas import ExplainQuery
from query_api.http.problems import invalid_parameter


class Compared(NamedTuple):
    """The ranges, up to today."""

    before: Days
    now: Days

    @property
    def lengths(self) -> Lengths:
        return Lengths(*((days.last - days.first).days + 1 for days in self))


async def choose_ranges(session: ReadSession, query: ExplainQuery, today: date) -> Compared:
    """Raises ApiProblem."""
    days, previous = await choose_range(session, query, today)
    if query.before_from is not None or query.before_to is not None:
        try:
            previous = read_days(query.before_from, query.before_to)
        except InvalidRange as error:
            raise invalid_parameter(f"before_{error.parameter}", error.detail) from None
    if previous is None:
        raise invalid_parameter("before_from", "is required: there is no range before of the same kind")
    return Compared(begun(previous, today), begun(days, today))


def begun(days: Days, today: date) -> Days:
    """The days that have begun; all of them if none has."""
    return Days(days.first, min(days.last, today)) if days.first <= today else days
