"""GET /api/v1/*: who asks, for which days, and what is answered. Every answer is one organization's, of one instant."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from flexcredits_schemas.events import Product
from pydantic import BaseModel, ConfigDict, Field

from query_api.answers import (
    Breakdown,
    BreakdownRow,
    DateRange,
    Fates,
    Freshness,
    Overview,
    ParameterError,
    PartitionFates,
    Period,
    ProductCredits,
    Proof,
    Refused,
    Sums,
)
from query_api.breakdown import FEATURE_KINDS, WITH_AGENTS, WITH_CATEGORIES, Features, Row, View, build_rows, share
from query_api.overview import Standing, standing
from query_api.periods import (
    Contract,
    CreditPeriod,
    Days,
    InvalidRange,
    Span,
    contract_on,
    days_of,
    elapsed_share,
    gap_around,
    month_of,
    period_on,
    read_days,
    split_at,
    today_in,
)
from query_api.policies import Look, LookLong, parts_of
from query_api.store import Reading

DELAYED_AFTER_S = 60


router = APIRouter(prefix="/api/v1")


@router.get("/overview")
async def get_overview(request: Request, reading: Look) -> Overview:
    """Credits used and available in the current credit period, in total and by product."""
    parts, organization = parts_of(request), reading.organization
    now = parts.now()
    today = today_in(organization.time_zone, now)
    contract = contract_on(await reading.select_contracts(), today)
    period, current, in_contract = await stand(reading, today, contract)
    watermark = await reading.select_watermark(parts.topic)
    return Overview(
        credits_used=current.used,
        credits_available=current.available,
        remaining=current.remaining,
        overage=current.overage,
        percent_used=current.percent_used,
        contract_period_used=in_contract if contract else None,
        products=[ProductCredits.model_validate(product) for product in current.products],
        credit_period=answer_period(period.credit_period_id, period.span) if period else None,
        contract_period=answer_period(contract.contract_id, contract.span) if contract else None,
        period_elapsed=elapsed_share(period.span, organization.time_zone, now) if period else None,
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
    in_period, in_contract = await reading.sum_products(span, contract.span if contract else span)
    return period, standing(period, in_period), sum(in_contract.values())


def answer_period(period_id: str, span: Span) -> Period:
    return Period(id=period_id, from_=span.starts_on, to=span.ends_on)


class BreakdownQuery(BaseModel):
    """Which usage. The days are `from` and `to`, or a credit period, or all; by default the current credit period."""

    model_config = ConfigDict(extra="forbid")

    product: Product
    view: View = Field(
        description="assistant: models, tools, other_features. agents: agents, features. api: namespaces."
    )
    from_: str | None = Field(
        None, alias="from", description="First month (2026-09) or date (2026-09-15).", examples=["2026-09"]
    )
    to: str | None = Field(None, description="Last month or date, inclusive.", examples=["2026-11"])
    credit_period: str | None = Field(None, description="Id of a credit period, or `current`.")
    range: Literal["all"] | None = None


@router.get("/breakdown")
async def get_breakdown(request: Request, reading: Look, query: Annotated[BreakdownQuery, Query()]) -> Breakdown:
    """What a product's usage consists of, over any days. Usage keeps the category it had; agents appear as they are now."""
    parts, organization = parts_of(request), reading.organization
    kinds = FEATURE_KINDS.get((query.product, query.view))
    if kinds is None:
        views = ", ".join(view for product, view in FEATURE_KINDS if product == query.product)
        raise invalid_parameter("view", f"the views of product `{query.product}` are: {views}")
    today = today_in(organization.time_zone, parts.now())
    days = await choose_days(reading, query, today)
    features = Features(await reading.select_features(query.product, kinds), today)
    # Within each stretch no feature changes its category, so its days can be added up as one.
    stretches = split_at(days, features.changes() if query.view in WITH_CATEGORIES else [])
    uses = await reading.sum_series(await reading.select_series(query.product, kinds), stretches)
    agents = await reading.select_agents() if query.view in WITH_AGENTS else {}
    watermark = await reading.select_watermark(parts.topic)
    total = sum(use.credits for use in uses)
    return Breakdown(
        product=query.product,
        view=query.view,
        range=DateRange(from_=days.first, to=days.last),
        time_zone=organization.time_zone,
        total=total,
        events=sum(use.events for use in uses),
        rows=answer_rows(build_rows(query.view, uses, features, agents), total),
        complete_to=watermark.complete_to,
    )


def answer_rows(rows: list[Row], total: int) -> list[BreakdownRow]:
    return [
        BreakdownRow(
            row.kind, row.id, row.name, row.credits, row.events, share(row.credits, total), answer_rows(row.rows, total)
        )
        for row in rows
    ]


async def choose_days(reading: Reading, query: BreakdownQuery, today: date) -> Days:
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
    which = "is current" if query.credit_period == "current" else "has this id"
    raise Refused("no-credit-period", f"No credit period of this organization {which}.")


def choose_period(periods: list[CreditPeriod], period_id: str, today: date) -> CreditPeriod | None:
    """By id, which is only unique within a contract: the latest of that id."""
    if period_id == "current":
        return period_on(periods, today)
    return next((period for period in reversed(periods) if period.credit_period_id == period_id), None)


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
        held=await reading.count_held(),
        state=state,
    )


@router.get("/proof")
async def get_proof(request: Request, reading: LookLong) -> Proof:
    """That every record has one fate, and that the organization's sums agree at every grain. May take seconds."""
    progress = await reading.select_progress(parts_of(request).topic)
    names = ("applied", "counted", "duplicate", "rejected", "held")
    partitions = [
        PartitionFates(topic=row.topic, partition=row.partition, **fates(*(getattr(row, name) for name in names)))
        for row in progress
    ]
    totals = Fates(**fates(*(sum(getattr(row, name) for row in progress) for name in names)))
    rollups = await reading.sum_rollups(*await first_whole_day(reading))
    ledger = await reading.sum_ledger()
    agree = len(set(rollups)) == 1
    return Proof(
        partitions=partitions,
        totals=totals,
        credits=Sums(
            ledger=ledger,
            quarter_hours=rollups.quarter_hours,
            days=rollups.days,
            organization_days=rollups.organization_days,
            equal=None if ledger is None and agree else agree and ledger == rollups.days,
        ),
    )


def fates(applied: int, counted: int, duplicate: int, rejected: int, held: int) -> dict[str, int]:
    return {
        "applied": applied,
        "counted": counted,
        "duplicate": duplicate,
        "rejected": rejected,
        "held": held,
        "balanced": applied == counted + duplicate + rejected + held,
    }


async def first_whole_day(reading: Reading) -> tuple[date, datetime]:
    """The first day of the organization's zone whose quarters of an hour are all kept, and when it begins."""
    zone = ZoneInfo(reading.organization.time_zone or "UTC")
    kept_from = datetime.combine(await reading.select_first_quarter() or date(9999, 1, 1), time(), UTC)
    day = kept_from.astimezone(zone).date()
    if datetime.combine(day, time(), zone).astimezone(UTC) < kept_from:
        day += timedelta(days=1)
    return day, datetime.combine(day, time(), zone).astimezone(UTC)
