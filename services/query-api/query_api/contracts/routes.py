"""GET /api/v1/credit-periods and /reconcile: contracts, credit periods, and their usage and cost."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from query_api.access.dependencies import UsageAccess
from query_api.access.state import app_state
from query_api.calendar import today_in
from query_api.contracts.domain.balance import period_state
from query_api.contracts.domain.periods import Contract, CreditPeriod
from query_api.contracts.domain.prices import prices_of
from query_api.contracts.domain.reconcile import (
    SUMS,
    ReconciliationLine,
)
from query_api.contracts.domain.terms import NO_TERMS, AddOn, Terms, state_of
from query_api.contracts.queries import (
    select_add_ons,
    select_contracts,
    select_credit_periods,
    sum_periods,
)
from query_api.contracts.range import CREDIT_PERIOD
from query_api.contracts.reading import read_reconciliation
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
    found = await read_reconciliation(session, query.credit_period, today)
    by_kind = {line.kind: line for line in found.lines}
    return Reconciliation(
        credit_period=answer_credit_period(found.period) if found.period else None,
        contract_id=found.contract.contract_id if found.contract else None,
        state=found.state,
        lines=[answer_line(line, found.currency) for line in found.lines],
        sums=[ReconcileSum(total=total, parts=list(kinds), credits=by_kind[total].credits) for total, kinds in SUMS],
        commitment=CommitmentCredits.model_validate(found.commitment) if found.commitment else None,
        amount_due=by_kind["contract_total"].money,
        currency=found.currency,
        account_team=answer_team(found.contract.terms if found.contract else NO_TERMS),
        time_zone=organization.time_zone,
        complete_to=(await select_watermark(session, app.topic)).complete_to,
    )


def answer_line(line: ReconciliationLine, currency: str | None) -> ReconcileLine:
    return ReconcileLine(**line._asdict(), currency=currency if line.money is not None else None)
