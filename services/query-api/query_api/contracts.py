"""GET /api/v1/credit-periods and /reconcile: what the contracts give, what became of it, and what it comes to."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from query_api.answers import AccountTeam, ProductCredits, Refused
from query_api.api import answer_period, choose_period
from query_api.contract_answers import (
    AddOnCredits,
    CommitmentCredits,
    ContractTerms,
    CreditPeriodCredits,
    CreditPeriods,
    ReconcileLine,
    ReconcileSum,
    Reconciliation,
)
from query_api.overview import standing
from query_api.periods import Contract, CreditPeriod, contract_of, days_of, gap_around, today_in
from query_api.policies import Look, parts_of
from query_api.reconcile import SUMS, Line, Used, commit, reconcile
from query_api.terms import NO_TERMS, AddOn, Terms, state_of

router = APIRouter(prefix="/api/v1")


@router.get("/credit-periods")
async def get_credit_periods(request: Request, reading: Look) -> CreditPeriods:
    """Every contract and credit period, with what was used, what remains and what has expired."""
    parts, organization = parts_of(request), reading.organization
    today = today_in(organization.time_zone, parts.now())
    contracts = await reading.select_contracts()
    periods = await reading.select_credit_periods()
    add_ons = await reading.select_add_ons()
    used = await reading.sum_periods()
    return CreditPeriods(
        credit_periods=[
            answer_credit_period(period, used.get(period.key, {}), add_ons.get(period.key, []), today)
            for period in reversed(periods)
        ],
        contracts=[answer_contract(contract, today) for contract in reversed(contracts)],
        time_zone=organization.time_zone,
        complete_to=(await reading.select_watermark(parts.topic)).complete_to,
    )


def answer_credit_period(
    period: CreditPeriod, used: dict[str, int], add_ons: list[AddOn], today: date
) -> CreditPeriodCredits:
    state, now = state_of(*period.span, today), standing(period, used)
    return CreditPeriodCredits(
        id=period.credit_period_id,
        contract_id=period.contract_id,
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
    terms = contract.terms
    return ContractTerms(
        id=contract.contract_id,
        from_=contract.span.starts_on,
        to=contract.span.ends_on,
        state=state_of(*contract.span, today),
        minimum_commitment=terms.minimum_commitment,
        overage_price=terms.overage_price,
        credit_price=terms.credit_price,
        currency=terms.currency,
        account_team=answer_team(terms),
    )


def answer_team(terms: Terms) -> AccountTeam | None:
    return AccountTeam.model_validate(terms.account_team) if terms.account_team else None


class ReconcileQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    credit_period: str | None = Field(
        None,
        description="Id of a credit period, or `current`. By default the current one or, where there is none, the days "
        "since the last one ended.",
    )


@router.get("/reconcile")
async def get_reconcile(request: Request, reading: Look, query: Annotated[ReconcileQuery, Query()]) -> Reconciliation:
    """From the feature total to the contract total, line by line, in credits and, where prices are known, in money."""
    parts, organization = parts_of(request), reading.organization
    today = today_in(organization.time_zone, parts.now())
    periods = await reading.select_credit_periods()
    period = choose_period(periods, query.credit_period or "current", today)
    if period is None and query.credit_period is not None:
        which = "is current" if query.credit_period == "current" else "has this id"
        raise Refused("no-credit-period", f"No credit period of this organization {which}.")
    span = period.span if period else gap_around(periods, today)
    [in_period] = await reading.sum_products(days_of(span))
    used = Used(sum(in_period.values()), *await reading.sum_adjustments(span))
    contract = contract_of(await reading.select_contracts(), period, today)
    terms = contract.terms if contract else NO_TERMS
    commitment = (
        commit(periods, await reading.sum_periods(), contract.contract_id, terms.minimum_commitment)
        if contract
        else None
    )
    add_ons = (await reading.select_add_ons()).get(period.key, []) if period else []
    state = state_of(*span, today) if period else None
    lines = reconcile(period, state, used, add_ons, terms, commitment)
    by_kind = {line.kind: line for line in lines}
    return Reconciliation(
        credit_period=answer_period(period.credit_period_id, span) if period else None,
        contract_id=contract.contract_id if contract else None,
        state=state,
        lines=[answer_line(line, terms.currency) for line in lines],
        sums=[ReconcileSum(total=total, parts=list(kinds), credits=by_kind[total].credits) for total, kinds in SUMS],
        commitment=CommitmentCredits.model_validate(commitment) if commitment else None,
        amount_due=by_kind["contract_total"].money,
        currency=terms.currency,
        account_team=answer_team(terms),
        time_zone=organization.time_zone,
        complete_to=(await reading.select_watermark(parts.topic)).complete_to,
    )


def answer_line(line: Line, currency: str | None) -> ReconcileLine:
    return ReconcileLine(**line._asdict(), currency=currency if line.money is not None else None)
