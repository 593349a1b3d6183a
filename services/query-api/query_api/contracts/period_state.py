"""Usage of the current credit period compared with its available credits, for all routes that need it."""

from datetime import date

from query_api.calendar import days_of
from query_api.contracts.domain.balance import PeriodState, period_state
from query_api.contracts.domain.periods import CreditPeriod, gap_around, period_on
from query_api.contracts.queries import select_credit_periods, sum_products
from query_api.db.session import ReadSession


async def read_period_state(session: ReadSession, today: date) -> tuple[CreditPeriod | None, PeriodState]:
    """The current credit period (or None), and its state."""
    periods = await select_credit_periods(session)
    period = period_on(periods, today)
    span = period.span if period else gap_around(periods, today)
    [in_period] = await sum_products(session, days_of(span))
    return period, period_state(period, in_period)
