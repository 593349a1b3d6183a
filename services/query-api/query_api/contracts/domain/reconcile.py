"""Reconciles the feature total with the contract total, line by line, exact to the micro-credit. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal, NamedTuple

from query_api.contracts.domain.periods import CreditPeriod, PeriodKey
from query_api.contracts.domain.terms import AddOn, PeriodPhase, money

LineKind = Literal[
    "usage", "corrections", "late", "feature_total", "within_available", "overage",
    "contracted", "add_on", "add_on_not_included", "available", "unused", "expired",
    "minimum_commitment", "contract_total",
]  # fmt: skip

SUMS: Sequence[tuple[LineKind, tuple[LineKind, ...]]] = (
    ("feature_total", ("usage", "corrections")),
    ("feature_total", ("within_available", "overage")),
    ("available", ("contracted", "add_on")),
    ("available", ("within_available", "unused")),
    ("contract_total", ("contracted", "overage", "minimum_commitment")),
)
"""Each total, and the kinds of lines that add up to it."""


class ReconciliationLine(NamedTuple):
    """`price` is millionths of the currency per credit; None if nothing is charged or the price is unknown."""

    kind: LineKind
    label: str
    credits: int
    price: int | None = None
    money: int | None = None
    included_in: LineKind | None = None  # the line that contains this one; not added again


class Commitment(NamedTuple):
    """The minimum commitment of a whole contract, and what was reached, in micro-credits."""

    minimum: int
    reached: int  # contracted credits plus overage of all its credit periods
    shortfall: int
    charged_in: str  # the contract's last credit period, in which the shortfall is charged


class Overage(NamedTuple):
    """Micro-credits of overage from a day of the period on, at one price."""

    since: date | None
    credits: int
    price: int | None


class Charges(NamedTuple):
    """Prices of a credit period, in millionths of the currency per credit; None: unknown."""

    currency: str | None = None
    contracted: int | None = None
    """For contracted credits: the price on the first day of the period."""
    shortfall: int | None = None
    """For the shortfall: the price at the end of the contract."""
    overage_price: int | None = None
    overage: Sequence[Overage] = ()
    """If the price changed within the period: the overage for each price."""


class PeriodUsage(NamedTuple):
    """Micro-credits in a credit period. `total` includes corrections, and late usage (received after the period ended)."""

    total: int
    corrections: int
    late: int


def charged(period: CreditPeriod, used: int) -> int:
    """Micro-credits charged for a credit period: contracted ones, used or not, plus overage."""
    return (period.contracted or 0) + max(0, used - (period.available or 0))


def commit(
    periods: Iterable[CreditPeriod], used: Mapping[PeriodKey, Mapping[str, int]], contract_id: str, minimum: int | None
) -> Commitment | None:
    """The commitment of a contract; None if it has none."""
    own = [period for period in periods if period.contract_id == contract_id]
    if minimum is None or not own:
        return None
    reached = sum(charged(period, sum(used.get(period.key, {}).values())) for period in own)
    last = max(own, key=lambda period: period.span.starts_on)
    return Commitment(minimum, reached, max(0, minimum - reached), last.credit_period_id)


def reconcile(
    period: CreditPeriod | None,
    state: PeriodPhase | None,
    used: PeriodUsage,
    add_ons: Iterable[AddOn],
    charges: Charges,
    commitment: Commitment | None,
) -> list[ReconciliationLine]:
    """The lines from the feature total to the contract total. Without a credit period all usage is overage."""
    available = (period.available if period else None) or 0
    contracted = (period.contracted if period else None) or 0
    within = min(used.total, available)
    unused = available - within
    overage = used.total - within
    overages = [
        _charge("overage", "Overage" if since is None else f"Overage from {since}", credits, price)
        for since, credits, price in charges.overage or [Overage(None, overage, charges.overage_price)]
    ]
    shortfall = commitment.shortfall if commitment and period and _ends_contract(period, commitment) else 0
    return [
        ReconciliationLine("usage", "Usage as counted", used.total - used.corrections),
        ReconciliationLine("corrections", "Corrections", used.corrections),
        ReconciliationLine("late", "Received after the period's end", used.late, included_in="feature_total"),
        ReconciliationLine("feature_total", "Feature total", used.total),
        ReconciliationLine("within_available", "Covered by available credits", within),
        *overages,
        _charge("contracted", "Contracted credits", contracted, charges.contracted),
        *(
            ReconciliationLine("add_on" if add_on.included else "add_on_not_included", add_on.name, add_on.credits)
            for add_on in add_ons
        ),
        ReconciliationLine("available", "Available credits", available),
        ReconciliationLine("unused", "Not used", unused),
        *(
            [ReconciliationLine("expired", "Expired at the period's end", unused, included_in="unused")]
            if state == "past"
            else []
        ),
        _charge("minimum_commitment", "Minimum-commitment shortfall", shortfall, charges.shortfall),
        total_up(contracted, overages, shortfall, charges),
    ]


def total_up(
    contracted: int, overages: Sequence[ReconciliationLine], shortfall: int, charges: Charges
) -> ReconciliationLine:
    """The contract total. Its money is the sum of the rounded lines; None if a line other than 0 has no price."""
    parts = [
        (contracted, charges.contracted),
        *((line.credits, line.price) for line in overages),
        (shortfall, charges.shortfall),
    ]
    amounts = [money(credits, price) for credits, price in parts if credits]
    if not amounts:  # nothing is due
        amounts = [0 if any(price is not None for _, price in parts) else None]
    known = [amount for amount in amounts if amount is not None]
    due = sum(known) if len(known) == len(amounts) else None
    return ReconciliationLine("contract_total", "Contract total", sum(credits for credits, _ in parts), money=due)


def _charge(kind: LineKind, label: str, credits: int, price: int | None) -> ReconciliationLine:
    return ReconciliationLine(kind, label, credits, price, money(credits, price))


def _ends_contract(period: CreditPeriod, commitment: Commitment) -> bool:
    return period.credit_period_id == commitment.charged_in
