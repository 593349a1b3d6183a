"""Responses about contracts and credit periods."""

from datetime import date
from typing import Annotated

from flexcredits_schemas.events import Product
from pydantic import Field

from query_api.calendar import Span
from query_api.contracts.domain.periods import CreditPeriod
from query_api.contracts.domain.reconcile import LineKind
from query_api.contracts.domain.terms import PeriodPhase
from query_api.http.fields import CompleteTo, Credits, Money, Percent, ResponseBody, TimeZone

PERIOD_KEY = (
    "Identifies the credit period in the parameter `credit_period` and in links: contract_id/id, with % and / inside of each "
    "percent-encoded."
)

Currency = Annotated[str | None, Field(description="ISO 4217. null: the contract has none.", examples=["USD"])]


class Period(ResponseBody):
    """Half-open: `to` is the first day after it."""

    id: str
    from_: date = Field(alias="from")
    to: date


class CreditPeriodRef(Period):
    """A credit period, half-open. Its id is unique within its contract, its key in the organization."""

    contract_id: str
    key: str = Field(description=PERIOD_KEY, examples=["contract-2026/year-1"])


class ProductCredits(ResponseBody):
    """Credits of one product. contracted and overage are null if the contract has no amount for this product."""

    product: Product
    used: Credits
    contracted: Credits | None
    overage: Credits | None


class AccountTeam(ResponseBody):
    """Contact for questions about the contract. At least one field is not null."""

    name: str | None
    email: str | None
    url: str | None = Field(description="An https URL.")


class AddOnCredits(ResponseBody):
    """Extra credits of a credit period."""

    name: str
    credits: Credits
    included: bool = Field(description="Only included add-ons are available.")


class ContractPrice(ResponseBody):
    """Price of a credit from a day until the next price, as currently known."""

    effective_from: date
    overage_price: Money | None
    credit_price: Money | None
    currency: Currency


class ContractTerms(ResponseBody):
    """A contract and its terms; null: not specified. Half-open: `to` is the first day after it."""

    id: str
    from_: date = Field(alias="from")
    to: date
    state: PeriodPhase
    minimum_commitment: Credits | None = Field(description="For the whole contract.")
    overage_price: Money | None = Field(description="Today's price of a credit beyond the available ones.")
    credit_price: Money | None = Field(description="Today's price of a contracted credit.")
    currency: Currency
    prices: list[ContractPrice] = Field(description="All prices, earliest first.")
    account_team: AccountTeam | None


class CreditPeriodCredits(ResponseBody):
    """Contracted and used credits of a credit period. Half-open: `to` is the first day after it."""

    id: str = Field(description="Unique within its contract.")
    contract_id: str
    key: str = Field(description=PERIOD_KEY)
    from_: date = Field(alias="from")
    to: date
    state: PeriodPhase
    contracted: Credits | None = Field(description="In total, without add-ons. null: the contract has no amount.")
    unallocated: Credits | None = Field(
        description="The total minus the products' amounts. null: the contract has no amount."
    )
    products: list[ProductCredits] = Field(description="All three products, in a fixed order.")
    add_ons: list[AddOnCredits]
    available: Credits | None = Field(description="Contracted credits plus included add-ons. null: none.")
    used: Credits
    remaining: Credits | None = Field(
        description="Between zero and the available credits. null: the period is over, or nothing is available."
    )
    expired: Credits | None = Field(
        description="Credits that a past period left unused. Late usage can still reduce them. null until the period ends."
    )
    overage: Credits = Field(description="Used beyond the available credits.")
    percent_used: Percent | None = Field(description="null without available credits.")


class CreditPeriods(ResponseBody):
    """All credit periods and contracts of the organization."""

    credit_periods: list[CreditPeriodCredits] = Field(description="Of all contracts, newest first.")
    contracts: list[ContractTerms] = Field(description="Newest first.")
    time_zone: TimeZone
    complete_to: CompleteTo


class ReconcileLine(ResponseBody):
    """A step from the feature total to the contract total."""

    kind: LineKind
    label: str = Field(description="Text for people. For an add-on, its name.")
    credits: Credits
    price: Money | None = Field(description="Price per credit. null: nothing is charged, or the price is unknown.")
    money: Money | None = Field(
        description="credits x price, rounded half-even once. For the contract total, the sum of its parts; null if a part "
        "other than 0 has no price."
    )
    currency: Currency = Field(description="Currency of `money`. null without money.")
    included_in: LineKind | None = Field(
        description="The line that contains this one: it gives details and must not be added again. null for all other lines."
    )


class ReconcileSum(ResponseBody):
    """The credits of all lines of the kinds in `parts` add up to `credits`, the credits of the line `total`."""

    total: LineKind
    parts: list[LineKind]
    credits: Credits


class CommitmentCredits(ResponseBody):
    """The minimum commitment of the whole contract, as of now."""

    minimum: Credits
    reached: Credits = Field(description="Contracted credits plus overage of all its credit periods.")
    shortfall: Credits = Field(description="minimum minus reached, never below zero.")
    charged_in: str = Field(
        description="Id of the contract's last credit period, in whose total the shortfall is charged."
    )


class Reconciliation(ResponseBody):
    """The difference between the feature total and the contract total, line by line.

    feature_total = usage + corrections = within_available + overage; available = contracted + included add-ons =
    within_available + unused; contract_total = contracted + overage + minimum_commitment. Until a credit period ends,
    the figures are as of now.
    """

    credit_period: CreditPeriodRef | None = Field(
        description="null: no current credit period, so all usage is overage."
    )
    contract_id: str | None
    state: PeriodPhase | None = Field(description="null without a credit period.")
    lines: list[ReconcileLine]
    sums: list[ReconcileSum]
    commitment: CommitmentCredits | None = Field(description="null: the contract has no minimum commitment.")
    amount_due: Money | None = Field(description="Money of the contract total. null: a price is unknown.")
    currency: Currency
    account_team: AccountTeam | None
    time_zone: TimeZone
    complete_to: CompleteTo


def answer_period(period_id: str, span: Span) -> Period:
    return Period(id=period_id, from_=span.starts_on, to=span.ends_on)


def answer_credit_period(period: CreditPeriod) -> CreditPeriodRef:
    return CreditPeriodRef(
        id=period.credit_period_id,
        contract_id=period.contract_id,
        key=period.address,
        from_=period.span.starts_on,
        to=period.span.ends_on,
    )
