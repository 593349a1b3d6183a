"""Spans of days: credit periods, contracts, and the ranges that a request may ask for. Pure."""

import re
from calendar import monthrange
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple, get_args
from zoneinfo import ZoneInfo

from flexcredits_schemas.events import Product

PRODUCTS: tuple[Product, ...] = get_args(Product)
"""assistant, agents, api: in the order in which every answer lists them."""

_MONTH_OR_DATE = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?", re.ASCII)
_MILLION = 1_000_000


class Span(NamedTuple):
    """Half-open: `ends_on` is the first day that no longer belongs to it."""

    starts_on: date
    ends_on: date

    def covers(self, day: date) -> bool:
        return self.starts_on <= day < self.ends_on


EVER = Span(date.min, date.max)


class Days(NamedTuple):
    """Inclusive: what a range in a request or an answer is."""

    first: date
    last: date


class Contract(NamedTuple):
    contract_id: str
    span: Span


class CreditPeriod(NamedTuple):
    """A credit period with its contracted micro-credits; None where the contract names no amount."""

    contract_id: str
    credit_period_id: str
    span: Span
    total: int | None
    products: tuple[int | None, int | None, int | None]  # in the order of PRODUCTS
    add_ons: int | None  # the included ones only

    @property
    def available(self) -> int | None:
        """Micro-credits that may be used in the period: the explicit total, else the products' sum, plus add-ons."""
        amounts = [self.total] if self.total is not None else [amount for amount in self.products if amount is not None]
        if self.add_ons is not None:
            amounts.append(self.add_ons)
        return sum(amounts) if amounts else None


class InvalidRange(Exception):
    """A range that cannot be read; `parameter` is the one to mend."""

    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(detail)
        self.parameter = parameter
        self.detail = detail


def today_in(time_zone: str | None, now: datetime) -> date:
    """The date on the organization's wall at the instant `now`; without a zone, UTC's."""
    return now.astimezone(ZoneInfo(time_zone) if time_zone else UTC).date()


def period_on(periods: Iterable[CreditPeriod], day: date) -> CreditPeriod | None:
    """The credit period of a day. They do not overlap; if facts made them, the one that began last."""
    covering = [period for period in periods if period.span.covers(day)]
    return max(covering, key=lambda period: (period.span.starts_on, period.contract_id), default=None)


def contract_on(contracts: Iterable[Contract], day: date) -> Contract | None:
    covering = [contract for contract in contracts if contract.span.covers(day)]
    return max(covering, key=lambda contract: (contract.span.starts_on, contract.contract_id), default=None)


def gap_around(periods: Iterable[CreditPeriod], day: date) -> Span:
    """The days around `day`, which no credit period covers: since the last one ended, until the next one begins."""
    spans = [period.span for period in periods]
    return Span(
        max((span.ends_on for span in spans if span.ends_on <= day), default=EVER.starts_on),
        min((span.starts_on for span in spans if span.starts_on > day), default=EVER.ends_on),
    )


def elapsed_share(span: Span, time_zone: str | None, now: datetime) -> int:
    """Millionths of the span's time that have passed at `now`; its days may have 23 or 25 hours."""
    # Where clocks skip midnight, fold 0 still gives the instant at which the day begins. Differences between two
    # zones are differences of instants; within one zone Python would take those of its wall clocks.
    zone = ZoneInfo(time_zone) if time_zone else UTC
    passed = now.astimezone(UTC) - datetime.combine(span.starts_on, time(), zone)
    left = datetime.combine(span.ends_on, time(), zone) - now.astimezone(UTC)
    if passed <= timedelta():
        return 0
    if left <= timedelta():
        return _MILLION
    microsecond = timedelta(microseconds=1)
    return passed // microsecond * _MILLION // ((passed + left) // microsecond)


def read_days(first: str | None, last: str | None) -> Days:
    """`from` and `to`, both months or both dates, both inclusive. Raises InvalidRange."""
    if first is None:
        raise InvalidRange("from", "`to` needs a `from`")
    if last is None:
        raise InvalidRange("to", "`from` needs a `to`")
    (begin, begins_with_month), (end, ends_with_month) = _read("from", first), _read("to", last)
    if begins_with_month != ends_with_month:
        raise InvalidRange("to", "`from` and `to` are both months or both dates")
    if ends_with_month:
        end = end.replace(day=monthrange(end.year, end.month)[1])
    if end < begin:
        raise InvalidRange("to", "`to` lies before `from`")
    return Days(begin, end)


def _read(parameter: str, text: str) -> tuple[date, bool]:
    """A date, and whether `text` was a month, of which it is the first day."""
    if match := _MONTH_OR_DATE.fullmatch(text):
        year, month, day = match.groups()
        try:
            return date(int(year), int(month), int(day or 1)), day is None
        except ValueError:
            pass
    raise InvalidRange(parameter, "must be a month such as 2026-09 or a date such as 2026-09-15")


def days_of(span: Span) -> Days:
    return Days(span.starts_on, span.ends_on - timedelta(days=1))


def month_of(day: date) -> Days:
    return Days(day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1]))


def split_at(days: Days, cuts: Sequence[date]) -> list[Days]:
    """`days` in pieces that begin at its first day and at each of the sorted `cuts` inside it."""
    starts = [days.first, *(cut for cut in cuts if days.first < cut <= days.last)]
    ends = [start - timedelta(days=1) for start in starts[1:]] + [days.last]
    return [Days(*piece) for piece in zip(starts, ends, strict=True)]
