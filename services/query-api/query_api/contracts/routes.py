"""GET /api/v1/credit-periods and /reconcile: contracts, credit periods, and their usage and cost."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from query_api.access.dependencies import UsageAccess
from query_api.access.state import app_state
from query_api.calendar import Span, days_of, today_in
from query_api.contracts.domain.balance import overage_by_day, period_state
from query_api.contracts.domain.periods import Contract, CreditPeriod, contract_of, gap_around
from query_api.contracts.domain.prices import prices_of
from query_api.contracts.domain.reconcile import (
    SUMS,
    Charges,
    Overage,
    PeriodUsage,
    ReconciliationLine,
    commit,
    reconcile,
)
from query_api.contracts.domain.terms import NO_TERMS, AddOn, Terms, state_of
from query_api.contracts.queries import (
    select_add_ons,
    select_contracts,
    select_credit_periods,
    sum_adjustments,
    sum_days,
    sum_periods,
    sum_products,
)
from query_api.contracts.range import CREDIT_PERIOD, choose_period, no_such_period
from query_api.contracts.schemas import (
    AccountTeam,
    AddOnCredits,
    CommitmentCredits,
    ContractPrice,
    ContractTerms,
    CreditPeriodCredits,
    CreditPeriods,
    ProductCredits,
    ReconcileLine,
    ReconcileSum,
    Reconciliation,
    answer_credit_period,
)
from query_api.db.session import ReadSession
from query_api.freshness.queries import select_watermark

router = APIRouter(prefix="/api/v1")


@router.get("/credit-periods")
async def get_credit_periods(request: Request, session: UsageAccess) -> CreditPeriods:
    """All contracts and credit periods, with used, remaining and expired credits."""
    app, organization = app_state(request), session.organization
    today = today_in(organization.time_zone, app.now())
    contracts = await select_contracts(session)
    periods = await select_credit_periods(session)
    add_ons = await select_add_ons(session)
    used = await sum_periods(session)
    return CreditPeriods(
        credit_periods=[
            describe_credit_period(period, used.get(period.key, {}), add_ons.get(period.key, []), today)
            for period in reversed(periods)
        ],
        contracts=[answer_contract(contract, today) for contract in reversed(contracts)],
        time_zone=organization.time_zone,
        complete_to=(await select_watermark(session, app.topic)).complete_to,
    )


def describe_credit_period(
    period: CreditPeriod, used: dict[str, int], add_ons: list[AddOn], today: date
) -> CreditPeriodCredits:
    state, now = state_of(*period.span, today), period_state(period, used)
    return CreditPeriodCredits(
        id=period.credit_period_id,
        contract_id=period.contract_id,
        key=period.address,
        from_=period.span.starts_on,
        to=period.span.ends_on,
        state=state,
        contracted=period.contracted,
        unallocated=period.unallocated,
        products=[ProductCredits.model_validate(product) for product in now.products],
        add_ons=[AddOnCredits.model_validate(add_on) for add_on in add_ons],
        available=now.available,
        used=now.used,
        remaining=None if state == "past" else now.remaining,
        expired=now.remaining if state == "past" else None,
        overage=now.overage,
        percent_used=now.percent_used,
    )


def answer_contract(contract: Contract, today: date) -> ContractTerms:
    terms, prices = contract.terms, prices_of(contract)
    now = prices.price_on(min(max(today, contract.span.starts_on), contract.span.ends_on - timedelta(days=1)))
    return ContractTerms(
        id=contract.contract_id,
        from_=contract.span.starts_on,
        to=contract.span.ends_on,
        state=state_of(*contract.span, today),
        minimum_commitment=terms.minimum_commitment,
        overage_price=now.overage,
        credit_price=now.credit,
        currency=now.currency,
        prices=[
            ContractPrice(
                effective_from=max(begins_on, contract.span.starts_on),
                overage_price=price.overage,
                credit_price=price.credit,
                currency=price.currency,
            )
            for begins_on, price in prices.schedule
        ],
        account_team=answer_team(terms),
    )


def answer_team(terms: Terms) -> AccountTeam | None:
    return AccountTeam.model_validate(terms.account_team) if terms.account_team else None


class ReconcileQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    credit_period: str | None = Field(
        None,
        description=f"{CREDIT_PERIOD} By default the current one or, if there is none, the days since the last one ended.",
    )


@router.get("/reconcile")
async def get_reconcile(
    request: Request, session: UsageAccess, query: Annotated[ReconcileQuery, Query()]
) -> Reconciliation:
    """From the feature total to the contract total, line by line, in credits and, if prices are known, in money."""
    app, organization = app_state(request), session.organization
    today = today_in(organization.time_zone, app.now())
    periods = await select_credit_periods(session)
    period = choose_period(periods, query.credit_period or "current", today)
    if period is None and query.credit_period is not None:
        raise no_such_period(query.credit_period)
    span = period.span if period else gap_around(periods, today)
    [in_period] = await sum_products(session, days_of(span))
    used = PeriodUsage(sum(in_period.values()), *await sum_adjustments(session, span))
    contract = contract_of(await select_contracts(session), period, today)
    terms = contract.terms if contract else NO_TERMS
    commitment = (
        commit(periods, await sum_periods(session), contract.contract_id, terms.minimum_commitment)
        if contract
        else None
    )
    add_ons = (await select_add_ons(session)).get(period.key, []) if period else []
    state = state_of(*span, today) if period else None
    charges = await read_charges(session, contract, period, span)
    lines = reconcile(period, state, used, add_ons, charges, commitment)
    by_kind = {line.kind: line for line in lines}
    return Reconciliation(
        credit_period=answer_credit_period(period) if period else None,
        contract_id=contract.contract_id if contract else None,
        state=state,
        lines=[answer_line(line, charges.currency) for line in lines],
        sums=[ReconcileSum(total=total, parts=list(kinds), credits=by_kind[total].credits) for total, kinds in SUMS],
        commitment=CommitmentCredits.model_validate(commitment) if commitment else None,
        amount_due=by_kind["contract_total"].money,
        currency=charges.currency,
        account_team=answer_team(terms),
        time_zone=organization.time_zone,
        complete_to=(await select_watermark(session, app.topic)).complete_to,
    )


async def read_charges(
    session: ReadSession, contract: Contract | None, period: CreditPeriod | None, span: Span
) -> Charges:
    """Prices as currently known, including corrections of the past, in the currency of the span's last day. Prices in other
    currencies are None, because they cannot be added."""
    prices = prices_of(contract)
    pieces = prices.pieces(days_of(span))
    currency = pieces[-1][1].currency
    last = prices.price_on(contract.span.ends_on - timedelta(days=1) if contract else span.starts_on)
    charges = Charges(
        currency,
        pieces[0][1].in_currency(currency).credit,
        last.in_currency(currency).credit,
        pieces[0][1].overage if len(pieces) == 1 else None,
    )
    if len(pieces) == 1:
        return charges
    by_day = await sum_days(session, days_of(span))
    overage = overage_by_day(by_day, [period]) if period else by_day
    return charges._replace(
        overage=[
            Overage(
                days.first,
                sum(credits for day, credits in overage.items() if days.first <= day <= days.last),
                price.in_currency(currency).overage,
            )
            for days, price in pieces
        ]
    )


def answer_line(line: ReconciliationLine, currency: str | None) -> ReconcileLine:
    return ReconcileLine(**line._asdict(), currency=currency if line.money is not None else None)
