"""Reads what the reconciliation of a credit period needs."""

from datetime import date, timedelta
from typing import NamedTuple

from query_api.calendar import Span, days_of
from query_api.contracts.domain.balance import overage_by_day
from query_api.contracts.domain.periods import Contract, CreditPeriod, contract_of, gap_around
from query_api.contracts.domain.prices import prices_of
from query_api.contracts.domain.reconcile import (
    Charges,
    Commitment,
    Overage,
    PeriodUsage,
    ReconciliationLine,
    commit,
    reconcile,
)
from query_api.contracts.domain.terms import NO_TERMS, PeriodPhase, state_of
from query_api.contracts.queries import (
    select_add_ons,
    select_contracts,
    select_credit_periods,
    sum_adjustments,
    sum_days,
    sum_periods,
    sum_products,
)
from query_api.contracts.range import choose_period, no_such_period
from query_api.db.session import ReadSession


class Reconciled(NamedTuple):
    """A credit period, or the gap between two (`period` is None), with its lines."""

    period: CreditPeriod | None
    span: Span
    contract: Contract | None
    state: PeriodPhase | None
    lines: list[ReconciliationLine]
    commitment: Commitment | None
    currency: str | None


async def read_reconciliation(session: ReadSession, name: str | None, today: date) -> Reconciled:
    """`name` as in choose_period(); by default the current period or, if there is none, the days since the last one.

    Raises ApiProblem.
    """
    periods = await select_credit_periods(session)
    period = choose_period(periods, name or "current", today)
    if period is None and name is not None:
        raise no_such_period(name)
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
    return Reconciled(period, span, contract, state, lines, commitment, charges.currency)


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
