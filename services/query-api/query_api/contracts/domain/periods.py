"""Credit periods and contracts, and which of them a day belongs to. Pure."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from flexcredits_schemas.credit_periods import credit_period_key

from query_api.calendar import EVER, Span
from query_api.contracts.domain.terms import NO_TERMS, Terms, Version


class Contract(NamedTuple):
    contract_id: str
    span: Span
    terms: Terms = NO_TERMS
    versions: Sequence[Version] = ()
    """What was said about its prices, in the order of arrival."""


class PeriodKey(NamedTuple):
    """A credit period's id is only unique within its contract."""

    contract_id: str
    credit_period_id: str


class CreditPeriod(NamedTuple):
    """A credit period with its contracted micro-credits; None where the contract names no amount."""

    contract_id: str
    credit_period_id: str
    span: Span
    total: int | None
    products: tuple[int | None, int | None, int | None]  # in the order of PRODUCTS
    add_ons: int | None  # the included ones only

    @property
    def key(self) -> PeriodKey:
        return PeriodKey(self.contract_id, self.credit_period_id)

    @property
    def address(self) -> str:
        """What requests and links name it by."""
        return credit_period_key(*self.key)

    @property
    def contracted(self) -> int | None:
        """Micro-credits without add-ons: the explicit total, else the products' sum."""
        amounts = self._amounts
        return self.total if self.total is not None else sum(amounts) if amounts else None

    @property
    def unallocated(self) -> int | None:
        """What the total has more than the products' sum."""
        contracted = self.contracted
        return None if contracted is None else contracted - sum(self._amounts)

    @property
    def available(self) -> int | None:
        """Micro-credits that may be used in the period: the contracted ones, plus included add-ons."""
        given = [amount for amount in (self.contracted, self.add_ons) if amount is not None]
        return sum(given) if given else None

    @property
    def _amounts(self) -> list[int]:
        return [amount for amount in self.products if amount is not None]


def period_on(periods: Iterable[CreditPeriod], day: date) -> CreditPeriod | None:
    """The credit period of a day. They do not overlap; if facts made them, the one that began last."""
    covering = [period for period in periods if period.span.covers(day)]
    return max(covering, key=lambda period: (period.span.starts_on, period.contract_id), default=None)


def contract_on(contracts: Iterable[Contract], day: date) -> Contract | None:
    covering = [contract for contract in contracts if contract.span.covers(day)]
    return max(covering, key=lambda contract: (contract.span.starts_on, contract.contract_id), default=None)


def contract_of(contracts: Iterable[Contract], period: CreditPeriod | None, day: date) -> Contract | None:
    """The contract of a credit period; outside of any, the one of the day."""
    if period is None:
        return contract_on(contracts, day)
    return next((contract for contract in contracts if contract.contract_id == period.contract_id), None)


def pricing_contract(contracts: Iterable[Contract], periods: Iterable[CreditPeriod], day: date) -> Contract | None:
    """Whose prices a day has, in every file and answer: that of its credit period or, outside of any, the one of the day."""
    return contract_of(contracts, period_on(periods, day), day)


class AmbiguousPeriod(Exception):
    """Several credit periods have this id; `addresses` tell them apart."""

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__(AmbiguousPeriod.__doc__)
        self.addresses = addresses


def find_period(periods: Sequence[CreditPeriod], name: str) -> CreditPeriod | None:
    """By its address or, where only one period has it, by its id. Raises AmbiguousPeriod."""
    for period in periods:
        if period.address == name:
            return period
    named = [period for period in periods if period.credit_period_id == name]
    if len(named) > 1:
        raise AmbiguousPeriod([period.address for period in named])
    return named[0] if named else None


def period_before(periods: Iterable[CreditPeriod], period: CreditPeriod) -> CreditPeriod | None:
    """The last one that ended when `period` began, or earlier."""
    earlier = [one for one in periods if one.span.ends_on <= period.span.starts_on]
    return max(earlier, key=lambda one: (one.span.starts_on, one.contract_id), default=None)


def gap_around(periods: Iterable[CreditPeriod], day: date) -> Span:
    """The days around `day`, which no credit period covers: since the last one ended, until the next one begins."""
    spans = [period.span for period in periods]
    return Span(
        max((span.ends_on for span in spans if span.ends_on <= day), default=EVER.starts_on),
        min((span.starts_on for span in spans if span.starts_on > day), default=EVER.ends_on),
    )
