"""The bodies of answers about contracts and credit periods."""

from datetime import date
from typing import Annotated

from flexcredits_schemas.events import Product
from pydantic import Field

from query_api.calendar import Span
from query_api.contracts.domain.periods import CreditPeriod
from query_api.contracts.domain.reconcile import LineKind
from query_api.contracts.domain.terms import State
from query_api.http.fields import Answer, CompleteTo, Credits, Money, Percent, TimeZone

PERIOD_KEY = (
    "Names the credit period, as the parameter `credit_period` and in links: contract_id/id, with % and / inside of either "
    "percent-encoded."
)

Currency = Annotated[str | None, Field(description="ISO 4217. null: the contract names none.", examples=["USD"])]


class Period(Answer):
    """Half-open: `to` is the first day after it."""

    id: str
    from_: date = Field(alias="from")
    to: date


class CreditPeriodRef(Period):
    """A credit period, half-open. Its id is unique within its contract, its key in the organization."""

    contract_id: str
    key: str = Field(description=PERIOD_KEY, examples=["contract-2026/year-1"])


class ProductCredits(Answer):
    """One product. Without an amount of its own in the contract, contracted and overage are null."""

    product: Product
    used: Credits
    contracted: Credits | None
    overage: Credits | None


class AccountTeam(Answer):
    """Whom to ask about the contract; at least one of the words is there."""

    name: str | None
    email: str | None
    url: str | None = Field(description="Of the scheme https.")


class AddOnCredits(Answer):
    """A bundle next to the contracted credits."""

    name: str
    credits: Credits
    included: bool = Field(description="Only included ones are available.")


class ContractPrice(Answer):
    """What a credit costs from a day on, until the next price takes effect; as it is known now."""

    effective_from: date
    overage_price: Money | None
    credit_price: Money | None
    currency: Currency


class ContractTerms(Answer):
    """A contract and its terms, which are null where it is silent. Half-open: `to` is the first day after it."""

    id: str
    from_: date = Field(alias="from")
    to: date
    state: State
    minimum_commitment: Credits | None = Field(description="Over the whole contract.")
    overage_price: Money | None = Field(description="Of a credit beyond what is available, today.")
    credit_price: Money | None = Field(description="Of a contracted credit, today.")
    currency: Currency
    prices: list[ContractPrice] = Field(description="All of them, the earliest first.")
    account_team: AccountTeam | None


class CreditPeriodCredits(Answer):
    """What a credit period gives and what was used of it. Half-open: `to` is the first day after it."""

    id: str = Field(description="Unique within its contract.")
    contract_id: str
    key: str = Field(description=PERIOD_KEY)
    from_: date = Field(alias="from")
    to: date
    state: State
    contracted: Credits | None = Field(description="In total, without add-ons. null: the contract names no amount.")
    unallocated: Credits | None = Field(
        description="What the total has more than the products' amounts. null: the contract names no amount."
    )
    products: list[ProductCredits] = Field(description="All three, in a fixed order.")
    add_ons: list[AddOnCredits]
    available: Credits | None = Field(description="Contracted credits and included add-ons. null: there are none.")
    used: Credits
    remaining: Credits | None = Field(
        description="Never below zero, and never more than is available. null: of a past period, or nothing is available."
    )
    expired: Credits | None = Field(
        description="What a past period left unused; late usage still makes it less. null until the period ends."
    )
    overage: Credits = Field(description="Used beyond what is available.")
    percent_used: Percent | None = Field(description="null without available credits.")


class CreditPeriods(Answer):
    """What there is to choose from in the credit-period picker."""

    credit_periods: list[CreditPeriodCredits] = Field(description="Of all contracts, the newest first.")
    contracts: list[ContractTerms] = Field(description="The newest first.")
    time_zone: TimeZone
    complete_to: CompleteTo


class ReconcileLine(Answer):
    """A step from the feature total to the contract total."""

    kind: LineKind
    label: str = Field(description="For people. Of an add-on, its name.")
    credits: Credits
    price: Money | None = Field(description="Of a credit. null where nothing is charged, or no price is known.")
    money: Money | None = Field(
        description="credits x price, rounded half-even once; of the contract total, the sum of its parts, or null while "
        "one of them that is not 0 has no price."
    )
    currency: Currency = Field(description="Where there is money.")
    included_in: LineKind | None = Field(
        description="The line that this one tells more about; it is no further summand of any sum. null for all others."
    )


class ReconcileSum(Answer):
    """The credits of all lines of the kinds in `parts` add up to `credits`, which is the line `total`."""

    total: LineKind
    parts: list[LineKind]
    credits: Credits


class CommitmentCredits(Answer):
    """The whole contract against its minimum commitment, as of now."""

    minimum: Credits
    reached: Credits = Field(description="Contracted credits and overage of all its credit periods.")
    shortfall: Credits = Field(description="What is missing, never below zero.")
    settled_with: str = Field(
        description="Id of the contract's last credit period, whose total has the shortfall in it."
    )


class Reconciliation(Answer):
    """Why the feature total is not the contract total.

    feature_total = usage + corrections = within_available + overage; available = contracted + included add-ons =
    within_available + unused; contract_total = contracted + overage + minimum_commitment. Until a credit period ends,
    this is how it stands now.
    """

    credit_period: CreditPeriodRef | None = Field(description="null: between two periods, where all usage is overage.")
    contract_id: str | None
    state: State | None = Field(description="null without a credit period.")
    lines: list[ReconcileLine]
    sums: list[ReconcileSum]
    commitment: CommitmentCredits | None = Field(description="null: the contract makes none.")
    amount_due: Money | None = Field(description="Of the contract total. null: a price is not known.")
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
