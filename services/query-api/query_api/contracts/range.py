"""GET /api/v1/*: who asks, for which days, and what is answered. Every answer is one organization's, of one instant."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from fastapi import APIRouter, Request
from flexcredits_schemas.calendar import local_date, midnight
from pydantic import BaseModel, ConfigDict, Field

from query_api.access.dependencies import Look, Parts, parts_of
from query_api.contracts.domain.balance import Standing, recommend_budget, standing
from query_api.contracts.domain.periods import (
    AmbiguousPeriod,
    Contract,
    CreditPeriod,
    Days,
    InvalidRange,
    Span,
    contract_of,
    contract_on,
    days_of,
    elapsed_share,
    find_period,
    gap_around,
    month_of,
    period_on,
    read_days,
    today_in,
)
from query_api.db.session import Reading
from query_api.http.fields import (
    AccountTeam,
    CreditPeriodRef,
    Freshness,
    Overview,
    ParameterError,
    Period,
    ProductCredits,
    QuarantineEntry,
    RecommendedBudget,
    Refused,
)
from query_api.usage.breakdown.domain.cursor import InvalidCursor, read_cursor

DELAYED_AFTER_S = 60


router = APIRouter(prefix="/api/v1")


@router.get("/overview")
async def get_overview(request: Request, reading: Look) -> Overview:
    """Credits used and available in the current credit period, in total and by product."""
    return await answer_overview(parts_of(request), reading)


async def answer_overview(parts: Parts, reading: Reading) -> Overview:
    organization, now = reading.organization, parts.now()
    today = today_in(organization.time_zone, now)
    contracts = await reading.select_contracts()
    contract = contract_on(contracts, today)
    period, current, in_contract = await stand(reading, today, contract)
    watermark = await reading.select_watermark(parts.topic)
    budget, in_charge = recommend_budget(period, current.remaining, today), contract_of(contracts, period, today)
    team = in_charge.terms.account_team if in_charge and current.is_over else None
    return Overview(
        credits_used=current.used,
        credits_available=current.available,
        remaining=current.remaining,
        overage=current.overage if contracts or period else 0,
        percent_used=current.percent_used,
        contract_period_used=in_contract if contract else None,
        products=[ProductCredits.model_validate(product) for product in current.products],
        credit_period=answer_credit_period(period) if period else None,
        contract_period=answer_period(contract.contract_id, contract.span) if contract else None,
        period_elapsed=elapsed_share(period.span, organization.time_zone, now)
        if period and period.span.has_end
        else None,
        recommended_monthly_budget=RecommendedBudget.model_validate(budget) if budget else None,
        unallocated=period.unallocated if period else None,
        add_ons=period.add_ons or 0 if period else None,
        account_team=AccountTeam.model_validate(team) if team else None,
        time_zone=organization.time_zone,
        complete_to=watermark.complete_to,
        updated_at=watermark.updated_at,
    )


async def stand(
    reading: Reading, today: date, contract: Contract | None = None
) -> tuple[CreditPeriod | None, Standing, int]:
    """The current credit period, how the organization stands in it or outside of any, and what it used in `contract`."""
    periods = await reading.select_credit_periods()
    period = period_on(periods, today)
    span = period.span if period else gap_around(periods, today)
    in_period, in_contract = await reading.sum_products(days_of(span), days_of(contract.span if contract else span))
    return period, standing(period, in_period), sum(in_contract.values())


def answer_period(period_id: str, span: Span) -> Period:
    return Period(id=period_id, from_=span.starts_on, to=span.ends_on)


def answer_credit_period(period: CreditPeriod) -> CreditPeriodRef:
    return CreditPeriodRef(
        id=period.credit_period_id,
        contract_id=period.contract_id,
        key=period.address,
        from_=period.span.starts_on,
        to=period.span.ends_on,
    )


CREDIT_PERIOD = (
    "`current`, or a credit period by its `key`, such as contract-2026/year-1; by its id alone where no other has it."
)


class RangeQuery(BaseModel):
    """Which days: `from` and `to`, or a credit period, or all; by default the current credit period."""

    model_config = ConfigDict(extra="forbid")

    from_: str | None = Field(
        None, alias="from", description="First month (2026-09) or date (2026-09-15).", examples=["2026-09"]
    )
    to: str | None = Field(None, description="Last month or date, inclusive.", examples=["2026-11"])
    credit_period: str | None = Field(None, description=CREDIT_PERIOD)
    range: Literal["all"] | None = None


async def choose_days(reading: Reading, query: RangeQuery, today: date) -> Days:
    """The days that a request means. Raises Refused."""
    is_dates = query.from_ is not None or query.to is not None
    given = [
        name
        for name, is_given in (("from", is_dates), ("credit_period", query.credit_period), ("range", query.range))
        if is_given
    ]
    if len(given) > 1:
        raise invalid_parameter(given[1], f"not together with `{given[0]}`")
    if is_dates:
        try:
            return read_days(query.from_, query.to)
        except InvalidRange as error:
            raise invalid_parameter(error.parameter, error.detail) from None
    if query.range == "all":
        used = await reading.select_days()
        return Days(min(used.first, today), max(used.last, today)) if used else Days(today, today)
    period = choose_period(await reading.select_credit_periods(), query.credit_period or "current", today)
    if period:
        return days_of(period.span)
    if query.credit_period is None:
        return month_of(today)
    raise no_such_period(query.credit_period)


def no_such_period(name: str) -> Refused:
    return Refused(
        "no-credit-period",
        "No credit period of this organization is current."
        if name == "current"
        else "No credit period of this organization has this key or id.",
    )


class HistoryQuery(BaseModel):
    """Which page of a history that goes back from now."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200)
    before: str | None = Field(None, description="`next` of a previous answer: go on where that one ended.")

    def read_before(self) -> int | None:
        """The number of the row before which the page begins. Raises Refused."""
        try:
            return None if self.before is None else read_cursor(self.before)
        except InvalidCursor:
            raise invalid_parameter("before", "must be `next` of a previous answer") from None


def choose_period(periods: list[CreditPeriod], name: str, today: date) -> CreditPeriod | None:
    """The current one, or one by key or id. Raises Refused where several have the id."""
    if name == "current":
        return period_on(periods, today)
    try:
        return find_period(periods, name)
    except AmbiguousPeriod as error:
        candidates = ", ".join(f"`{address}`" for address in error.addresses)
        raise invalid_parameter(
            "credit_period", f"several credit periods have this id; give one of: {candidates}"
        ) from None


def invalid_parameter(parameter: str, detail: str) -> Refused:
    errors = [ParameterError(parameter=parameter, detail=detail)]
    return Refused("invalid-parameter", f"{parameter}: {detail}", errors=errors)


@router.get("/freshness")
async def get_freshness(request: Request, reading: Look) -> Freshness:
    """Whether the numbers are up to date, and what waits to be counted."""
    parts = parts_of(request)
    watermark = await reading.select_watermark(parts.topic)
    lag_s = None
    if watermark.complete_to is not None:
        lag_s = max(0.0, (parts.now() - watermark.complete_to).total_seconds())
    state: Literal["current", "delayed", "no_data"] = "current"
    if watermark.partitions == 0:
        state = "no_data"
    elif lag_s is None or lag_s > DELAYED_AFTER_S:
        state = "delayed"
    return Freshness(
        updated_at=watermark.updated_at,
        complete_to=watermark.complete_to,
        lag_seconds=lag_s,
        held=await reading.count_held(parts.topic),
        quarantine=[QuarantineEntry.model_validate(at) for at in await reading.select_quarantine()],
        state=state,
    )


async def first_whole_day(reading: Reading) -> tuple[date, datetime]:
    """The first day of the organization's zone whose quarters of an hour are all kept, and when it begins."""
    zone = reading.organization.time_zone
    kept_from = datetime.combine(await reading.select_first_quarter() or date(9999, 1, 1), time(), UTC)
    day = local_date(kept_from, zone)
    if midnight(day, zone) < kept_from:
        day += timedelta(days=1)
    return day, midnight(day, zone)
