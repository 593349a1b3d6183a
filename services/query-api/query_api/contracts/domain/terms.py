"""Terms of a contract besides its credits: prices, commitment, add-ons, contact. Pure."""

from collections.abc import Sequence
from datetime import date
from typing import Literal, NamedTuple

from flexcredits_schemas.credits import MICRO, round_half_even

PeriodPhase = Literal["past", "current", "future"]


class TeamContact(NamedTuple):
    """At least one field is not None."""

    name: str | None
    email: str | None
    url: str | None


class Terms(NamedTuple):
    """None: not specified. The commitment is in micro-credits for the whole contract; prices are millionths of the currency
    per credit."""

    minimum_commitment: int | None = None
    overage_price: int | None = None
    credit_price: int | None = None
    currency: str | None = None
    account_team: TeamContact | None = None


NO_TERMS = Terms()


class Price(NamedTuple):
    """Millionths of the currency per credit; None: unknown."""

    overage: int | None = None
    credit: int | None = None
    currency: str | None = None

    def in_currency(self, currency: str | None) -> "Price":
        """The price if it is in this currency; otherwise an unknown price in this currency."""
        return self if self.currency == currency else Price(currency=currency)


class PriceStep(NamedTuple):
    """A price from a day on; date.min: from the beginning of the contract."""

    begins_on: date
    price: Price


class PriceVersion(NamedTuple):
    """Prices in one version of a contract, and the day when it was received. Only a price list has effective dates; a price that
    one of its steps leaves out stays unchanged."""

    received_on: date
    is_list: bool
    steps: Sequence[PriceStep]


class AddOn(NamedTuple):
    """Extra micro-credits; only included add-ons are available."""

    name: str
    credits: int
    included: bool


def money(micro_credits: int, price: int | None) -> int | None:
    """Cost of credits in millionths of the currency, rounded half-even once; None without a price."""
    if price is None:
        return None
    return round_half_even(micro_credits * price, MICRO)


def state_of(starts_on: date, ends_on: date, today: date) -> PeriodPhase:
    """Whether a half-open range of days is past, current or future."""
    if ends_on <= today:
        return "past"
    return "future" if starts_on > today else "current"
