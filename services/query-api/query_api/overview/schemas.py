"""Response of the overview."""

from datetime import datetime

from pydantic import Field

from query_api.contracts.schemas import AccountTeam, CreditPeriodRef, Period, ProductCredits
from query_api.http.fields import CompleteTo, Credits, Percent, ResponseBody, Share, TimeZone


class RecommendedBudget(ResponseBody):
    """The monthly budget that makes the remaining credits last until the credit period ends."""

    credits: Credits = Field(description="remaining_credits / remaining_months, rounded down.")
    remaining_credits: Credits
    remaining_months: int = Field(
        description="Calendar months until the credit period ends, including the current one."
    )


class Overview(ResponseBody):
    """Used, available and remaining credits of the current credit period.

    Without a current credit period, credits_used counts from the end of the last one, and all of it is overage. Without any
    contract, credits_used is all usage, and there is no overage.
    """

    credits_used: Credits
    credits_available: Credits | None = Field(
        description="The period's contracted credits plus included add-ons. null: nothing is contracted."
    )
    remaining: Credits | None = Field(description="Between zero and the available credits.")
    overage: Credits = Field(description="Used beyond the available credits. 0 without any contract.")
    percent_used: Percent | None = Field(description="null without contracted credits.")
    contract_period_used: Credits | None = Field(
        description="Used in the whole contract. null without a current contract."
    )
    products: list[ProductCredits] = Field(description="All three products, in a fixed order.")
    credit_period: CreditPeriodRef | None
    contract_period: Period | None
    period_elapsed: Share | None = Field(
        description="The part of the credit period that has passed. null: no credit period, or it has no end."
    )
    recommended_monthly_budget: RecommendedBudget | None = Field(
        description="null without a current credit period, or without contracted credits in it."
    )
    unallocated: Credits | None = Field(
        description="The contracted total minus the products' amounts. null: the contract has no amount."
    )
    add_ons: Credits | None = Field(
        description="Included add-ons, part of the available credits. null without a credit period."
    )
    account_team: AccountTeam | None = Field(
        description="Contact, if there is overage in total or for a product. null: no overage, or no contact."
    )
    time_zone: TimeZone
    complete_to: CompleteTo
    updated_at: datetime | None
