"""What a contract says besides its credits: prices, commitment, add-ons, and whom to ask. Pure."""

from collections.abc import Sequence
from datetime import date
from typing import Literal, NamedTuple

from flexcredits_schemas.credits import MICRO, round_half_even

State = Literal["past", "current", "future"]


class AccountTeam(NamedTuple):
    """At least one of them is there."""

    name: str | None
    email: str | None
    url: str | None


class Terms(NamedTuple):
    """None where the contract is silent. The commitment is micro-credits over the whole contract; prices are millionths
    of the currency for one credit."""

    minimum_commitment: int | None = None
    overage_price: int | None = None
    credit_price: int | None = None
    currency: str | None = None
    account_team: AccountTeam | None = None


NO_TERMS = Terms()


class Price(NamedTuple):
    """Millionths of the currency for one credit; None: no price is known."""

    overage: int | None = None
    credit: int | None = None
    currency: str | None = None

    def in_currency(self, currency: str | None) -> "Price":
        """No price is known in any other currency than its own."""
        return self if self.currency == currency else Price(currency=currency)


class Step(NamedTuple):
    """A price from a day on; date.min: since the contract began."""

    begins_on: date
    price: Price


class Version(NamedTuple):
    """What a version of a contract says about prices, and the day on which it arrived. Only a list says since when they hold, and
    what one of its steps leaves out stays as it was before."""

    received_on: date
    is_list: bool
    steps: Sequence[Step]


class AddOn(NamedTuple):
    """A bundle next to the contracted micro-credits; only an included one may be used."""

    name: str
    credits: int
    included: bool


def money(micro_credits: int, price: int | None) -> int | None:
    """Millionths of the currency that credits cost, rounded half-even once; None without a price."""
    if price is None:
        return None
    return round_half_even(micro_credits * price, MICRO)


def state_of(starts_on: date, ends_on: date, today: date) -> State:
    """Of a half-open span of days."""
    if ends_on <= today:
        return "past"
    return "future" if starts_on > today else "current"
