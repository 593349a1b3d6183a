"""Credit periods and contracts, and finding those of a day. Pure."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from flexcredits_schemas.credit_periods import credit_period_key

from query_api.calendar import ALL_TIME, Span
from query_api.contracts.domain.terms import NO_TERMS, PriceVersion, Terms


class Contract(NamedTuple):
    contract_id: str
    span: Span
    terms: Terms = NO_TERMS
    versions: Sequence[PriceVersion] = ()
    """Versions of its prices, in the order in which they were received."""


class PeriodKey(NamedTuple):
    """Identifies a credit period: its id is unique only within its contract."""

    contract_id: str
    credit_period_id: str


class CreditPeriod(NamedTuple):
    """A credit period with its contracted micro-credits; None: the contract has no amount."""

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
        """Its key in requests and links."""
        return credit_period_key(*self.key)

    @property
    def contracted(self) -> int | None:
        """Micro-credits without add-ons: the explicit total, else the sum of the products."""
        amounts = self._amounts
        return self.total if self.total is not None else sum(amounts) if amounts else None

    @property
    def unallocated(self) -> int | None:
        """The total minus the sum of the products."""
        contracted = self.contracted
        return None if contracted is None else contracted - sum(self._amounts)

    @property
    def available(self) -> int | None:
        """Available micro-credits: contracted ones plus included add-ons."""
        given = [amount for amount in (self.contracted, self.add_ons) if amount is not None]
        return sum(given) if given else None

    @property
    def _amounts(self) -> list[int]:
        return [amount for amount in self.products if amount is not None]


def period_on(periods: Iterable[CreditPeriod], day: date) -> CreditPeriod | None:
    """The credit period of a day. If contract events made periods overlap, the one that began last."""
    covering = [period for period in periods if period.span.covers(day)]
    return max(covering, key=lambda period: (period.span.starts_on, period.contract_id), default=None)


def contract_on(contracts: Iterable[Contract], day: date) -> Contract | None:
    covering = [contract for contract in contracts if contract.span.covers(day)]
    return max(covering, key=lambda contract: (contract.span.starts_on, contract.contract_id), default=None)


def contract_of(contracts: Iterable[Contract], period: CreditPeriod | None, day: date) -> Contract | None:
    """The contract of a credit period; without one, the contract of the day."""
    if period is None:
        return contract_on(contracts, day)
    return next((contract for contract in contracts if contract.contract_id == period.contract_id), None)


def pricing_contract(contracts: Iterable[Contract], periods: Iterable[CreditPeriod], day: date) -> Contract | None:
    """The contract that sets the prices of a day: that of its credit period or, without one, the contract of the day."""
    return contract_of(contracts, period_on(periods, day), day)


class AmbiguousPeriod(Exception):
    """Several credit periods have this id; `addresses` are their unique keys."""

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__(AmbiguousPeriod.__doc__)
        self.addresses = addresses


def find_period(periods: Sequence[CreditPeriod], name: str) -> CreditPeriod | None:
    """Find a period by its address, or by its id if that is unique. Raises AmbiguousPeriod."""
    for period in periods:
        if period.address == name:
            return period
    named = [period for period in periods if period.credit_period_id == name]
    if len(named) > 1:
        raise AmbiguousPeriod([period.address for period in named])
    return named[0] if named else None


def period_before(periods: Iterable[CreditPeriod], period: CreditPeriod) -> CreditPeriod | None:
    """The last period that ended when `period` began, or earlier."""
    earlier = [one for one in periods if one.span.ends_on <= period.span.starts_on]
    return max(earlier, key=lambda one: (one.span.starts_on, one.contract_id), default=None)


def gap_around(periods: Iterable[CreditPeriod], day: date) -> Span:
    """The gap between credit periods around `day`: from the end of the last one to the start of the next one."""
    spans = [period.span for period in periods]
    return Span(
        max((span.ends_on for span in spans if span.ends_on <= day), default=ALL_TIME.starts_on),
        min((span.starts_on for span in spans if span.starts_on > day), default=ALL_TIME.ends_on),
    )
