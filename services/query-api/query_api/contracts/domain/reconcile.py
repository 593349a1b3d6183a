"""From what the features used to what the contract counts, line by line, each sum exact to the micro-credit. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal, NamedTuple

from query_api.contracts.domain.periods import CreditPeriod, PeriodKey
from query_api.contracts.domain.terms import AddOn, State, money

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
"""A total, and the kinds of lines that add up to it."""


class Line(NamedTuple):
    """`price` is millionths of the currency for a credit, and None where nothing is charged or no price is known."""

    kind: LineKind
    label: str
    credits: int
    price: int | None = None
    money: int | None = None
    included_in: LineKind | None = None  # said again of that line, and part of no sum


class Commitment(NamedTuple):
    """How a whole contract stands against its minimum commitment, in micro-credits."""

    minimum: int
    reached: int  # contracted credits and overage of all its credit periods
    shortfall: int
    settled_with: str  # the contract's last credit period, in which the shortfall counts


class Overage(NamedTuple):
    """Micro-credits of overage since a day of the period, at one price."""

    since: date | None
    credits: int
    price: int | None


class Charges(NamedTuple):
    """What credits of a credit period cost, in millionths of the one currency; None is not known."""

    currency: str | None = None
    contracted: int | None = None
    """Of contracted credits, which are bought as the period begins."""
    shortfall: int | None = None
    """Of what is missing to the minimum commitment, as the contract ends."""
    overage_price: int | None = None
    overage: Sequence[Overage] = ()
    """Where the price changed within the period: its overage by price."""


class Used(NamedTuple):
    """Micro-credits in a credit period; corrections are part of the total, and late is what came after its end."""

    total: int
    corrections: int
    late: int


def charged(period: CreditPeriod, used: int) -> int:
    """Micro-credits that a credit period is charged for: the contracted ones, used or not, and overage."""
    return (period.contracted or 0) + max(0, used - (period.available or 0))


def commit(
    periods: Iterable[CreditPeriod], used: Mapping[PeriodKey, Mapping[str, int]], contract_id: str, minimum: int | None
) -> Commitment | None:
    """A contract against its minimum commitment; None if it makes none."""
    own = [period for period in periods if period.contract_id == contract_id]
    if minimum is None or not own:
        return None
    reached = sum(charged(period, sum(used.get(period.key, {}).values())) for period in own)
    last = max(own, key=lambda period: period.span.starts_on)
    return Commitment(minimum, reached, max(0, minimum - reached), last.credit_period_id)


def reconcile(
    period: CreditPeriod | None,
    state: State | None,
    used: Used,
    add_ons: Iterable[AddOn],
    charges: Charges,
    commitment: Commitment | None,
) -> list[Line]:
    """The lines from the feature total to the contract total. Outside of any credit period all usage is overage."""
    available = (period.available if period else None) or 0
    contracted = (period.contracted if period else None) or 0
    within = min(used.total, available)
    unused = available - within
    overage = used.total - within
    overages = [
        _charge("overage", "Overage" if since is None else f"Overage from {since}", credits, price)
        for since, credits, price in charges.overage or [Overage(None, overage, charges.overage_price)]
    ]
    shortfall = commitment.shortfall if commitment and period and _settles(period, commitment) else 0
    return [
        Line("usage", "Usage as counted", used.total - used.corrections),
        Line("corrections", "Corrections", used.corrections),
        Line("late", "Received after the period's end", used.late, included_in="feature_total"),
        Line("feature_total", "Feature total", used.total),
        Line("within_available", "Covered by available credits", within),
        *overages,
        _charge("contracted", "Contracted credits", contracted, charges.contracted),
        *(
            Line("add_on" if add_on.included else "add_on_not_included", add_on.name, add_on.credits)
            for add_on in add_ons
        ),
        Line("available", "Available credits", available),
        Line("unused", "Not used", unused),
        *([Line("expired", "Expired at the period's end", unused, included_in="unused")] if state == "past" else []),
        _charge("minimum_commitment", "Minimum-commitment shortfall", shortfall, charges.shortfall),
        total_up(contracted, overages, shortfall, charges),
    ]


def total_up(contracted: int, overages: Sequence[Line], shortfall: int, charges: Charges) -> Line:
    """The contract total. Its money is the sum of the rounded lines, and None while one that matters has no price."""
    parts = [
        (contracted, charges.contracted),
        *((line.credits, line.price) for line in overages),
        (shortfall, charges.shortfall),
    ]
    amounts = [money(credits, price) for credits, price in parts if credits]
    if not amounts:  # nothing is due, in whichever currency there is
        amounts = [0 if any(price is not None for _, price in parts) else None]
    known = [amount for amount in amounts if amount is not None]
    due = sum(known) if len(known) == len(amounts) else None
    return Line("contract_total", "Contract total", sum(credits for credits, _ in parts), money=due)


def _charge(kind: LineKind, label: str, credits: int, price: int | None) -> Line:
    return Line(kind, label, credits, price, money(credits, price))


def _settles(period: CreditPeriod, commitment: Commitment) -> bool:
    return period.credit_period_id == commitment.settled_with
