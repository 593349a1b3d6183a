"""Usage of the current credit period compared with its available credits, for all routes that need it."""

from datetime import date

from query_api.calendar import days_of
from query_api.contracts.domain.balance import PeriodState, period_state
from query_api.contracts.domain.periods import Contract, CreditPeriod, gap_around, period_on
from query_api.contracts.queries import select_credit_periods, sum_products
from query_api.db.session import ReadSession


async def read_period_state(
    session: ReadSession, today: date, contract: Contract | None = None
) -> tuple[CreditPeriod | None, PeriodState, int]:
    """The current credit period (or None), its state, and the micro-credits used in `contract`."""
    periods = await select_credit_periods(session)
    period = period_on(periods, today)
    span = period.span if period else gap_around(periods, today)
    in_period, in_contract = await sum_products(session, days_of(span), days_of(contract.span if contract else span))
    return period, period_state(period, in_period), sum(in_contract.values())
