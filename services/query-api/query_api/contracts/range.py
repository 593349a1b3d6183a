"""The days that a request selects: dates, a credit period, or all."""

from collections.abc import Sequence
from datetime import date
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from query_api.calendar import (
    Days,
    InvalidRange,
    comparable,
    days_of,
    month_of,
    previous_days,
    read_days,
    with_whole_months,
)
from query_api.contracts.domain.periods import AmbiguousPeriod, CreditPeriod, find_period, period_before, period_on
from query_api.contracts.queries import select_credit_periods, select_days
from query_api.db.session import ReadSession
from query_api.http.problems import ApiProblem, invalid_parameter

CREDIT_PERIOD = (
    "`current`, or a credit period by its `key`, such as contract-2026/year-1; by its id alone if the id is unique."
)


class RangeQuery(BaseModel):
    """The days: `from` and `to`, a credit period, or all. By default the current credit period."""

    model_config = ConfigDict(extra="forbid")

    from_: str | None = Field(
        None, alias="from", description="First month (2026-09) or date (2026-09-15).", examples=["2026-09"]
    )
    to: str | None = Field(None, description="Last month or date, inclusive.", examples=["2026-11"])
    credit_period: str | None = Field(None, description=CREDIT_PERIOD)
    range: Literal["all"] | None = None


class ChosenRange(NamedTuple):
    """The days of a request, and the range before of the same kind and length; None if there is none.

    While the range is running, the range before has as many days as have begun.
    """

    days: Days
    previous: Days | None


async def choose_days(
    session: ReadSession, query: RangeQuery, today: date, periods: Sequence[CreditPeriod] | None = None
) -> Days:
    """The days that a request selects. Raises ApiProblem."""
    return (await choose_range(session, query, today, periods)).days


async def choose_range(
    session: ReadSession, query: RangeQuery, today: date, periods: Sequence[CreditPeriod] | None = None, *,
    names_periods: bool = True,
) -> ChosenRange:  # fmt: skip
    """The days that a request selects, and the range before. `periods` are read if None and needed. Raises ApiProblem, which
    names other credit periods only with `names_periods`."""
    check_one_way(query)
    if query.from_ is not None or query.to is not None:
        days = read_dates(query)
        return with_previous(days, previous_days(days, are_months=len(query.from_ or "") == len("2026-09")), today)
    if query.range == "all":
        used = await select_days(session)
        return ChosenRange(Days(min(used.first, today), max(used.last, today)) if used else Days(today, today), None)
    if periods is None:
        periods = await select_credit_periods(session)
    period = choose_period(periods, query.credit_period or "current", today, names_periods=names_periods)
    if period:
        before = period_before(periods, period)
        return with_previous(days_of(period.span), days_of(before.span) if before else None, today)
    if query.credit_period is None:
        month = month_of(today)
        return with_previous(month, previous_days(month, are_months=True), today)
    raise no_such_period(query.credit_period)


def extend_to_months(query: RangeQuery, days: Days) -> Days:
    """The days to read. All time is extended to whole months: monthly rollups have fewer rows, and no usage is added."""
    return with_whole_months(days) if query.range == "all" else days


def check_one_way(query: RangeQuery) -> None:
    """Raises ApiProblem if a request selects days in two ways."""
    is_dates = query.from_ is not None or query.to is not None
    given = [
        name
        for name, is_given in (("from", is_dates), ("credit_period", query.credit_period), ("range", query.range))
        if is_given
    ]
    if len(given) > 1:
        raise invalid_parameter(given[1], f"not together with `{given[0]}`")


def read_dates(query: RangeQuery) -> Days:
    """Raises ApiProblem."""
    try:
        return read_days(query.from_, query.to)
    except InvalidRange as error:
        raise invalid_parameter(error.parameter, error.detail) from None


def with_previous(days: Days, before: Days | None, today: date) -> ChosenRange:
    return ChosenRange(days, comparable(before, days, today) if before else None)


def choose_period(
    periods: Sequence[CreditPeriod], name: str, today: date, *, names_periods: bool = True
) -> CreditPeriod | None:
    """The current credit period, or one by key or id. Raises ApiProblem if the id is ambiguous."""
    if name == "current":
        return period_on(periods, today)
    try:
        return find_period(periods, name)
    except AmbiguousPeriod as error:
        candidates = ", ".join(f"`{address}`" for address in error.addresses) if names_periods else "their keys"
        raise invalid_parameter(
            "credit_period", f"several credit periods have this id; use one of: {candidates}"
        ) from None


def no_such_period(name: str) -> ApiProblem:
    return ApiProblem(
        "no-credit-period",
        "This organization has no current credit period."
        if name == "current"
        else "This organization has no credit period with this key or id.",
    )
