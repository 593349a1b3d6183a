"""Billing periods of FOCUS 1.4: credit periods and, without one, calendar months. Their keys are ids of invoices. Pure."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal, NamedTuple

from query_api.calendar import Days, Span, month_of, span_of
from query_api.contracts.domain.periods import Contract, CreditPeriod, gap_around, period_on
from query_api.exports.domain.focus import instant

LineKind = Literal["usage", "contracted", "add_on", "overage", "minimum_commitment"]
"""Lines of an invoice: those of `reconcile` that bill credits, and the usage."""

NO_END = "9999-12-31T00:00:00Z"
OPEN_DAYS = 401
"""Usage may arrive up to 400 days late, and counts in its own period. After one more day a period is final."""


def billing_days(periods: Sequence[CreditPeriod], day: date) -> Days:
    """The days of a day's billing period: its credit period; without one, the part of its month outside of credit periods."""
    span = _billing_span(periods, day)
    return Days(span.starts_on, span.ends_on - timedelta(days=1))


def _billing_span(periods: Sequence[CreditPeriod], day: date) -> Span:
    if period := period_on(periods, day):
        return period.span
    month, gap = span_of(month_of(day)), gap_around(periods, day)
    return Span(max(month.starts_on, gap.starts_on), min(month.ends_on, gap.ends_on))


def billing_instants(periods: Sequence[CreditPeriod], day: date, time_zone: str | None) -> tuple[str, str]:
    """Start and end of a day's billing period."""
    return span_instants(_billing_span(periods, day), time_zone)


def span_instants(span: Span, time_zone: str | None) -> tuple[str, str]:
    return instant(span.starts_on, time_zone), instant(span.ends_on, time_zone) if span.has_end else NO_END


def line_id(period: CreditPeriod, kind: LineKind) -> str:
    """The id of a line: the invoice's id and the kind."""
    return f"{period.address}/{kind}"


class Recorded(NamedTuple):
    """When a record was created and last changed, as instants."""

    created_at: str
    updated_at: str


def recorded(contract: Contract | None, starts_on: date, time_zone: str | None) -> Recorded:
    """The receipt of the first and the last version of the contract; without versions, the first day."""
    days = sorted(version.received_on for version in contract.versions) if contract else []
    days = [day for day in days if day > date.min] or [starts_on]
    return Recorded(instant(days[0], time_zone), instant(days[-1], time_zone))
