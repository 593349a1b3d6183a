"""The body of the overview."""

from datetime import datetime

from pydantic import Field

from query_api.contracts.schemas import AccountTeam, CreditPeriodRef, Period, ProductCredits
from query_api.http.fields import Answer, CompleteTo, Credits, Percent, Share, TimeZone


class RecommendedBudget(Answer):
    """What to spend in a month so that the rest of the credit period's credits lasts."""

    credits: Credits = Field(description="remaining_credits / remaining_months, rounded down.")
    remaining_credits: Credits
    remaining_months: int = Field(
        description="Calendar months that the rest of the credit period touches; the current one counts as one."
    )


class Overview(Answer):
    """How the organization stands in its current credit period.

    Without a current one, credits_used is what was used since the last one ended, and all of it is overage; where there
    never was a contract, it is what was ever used, and none of it is.
    """

    credits_used: Credits
    credits_available: Credits | None = Field(
        description="The period's contracted credits and included add-ons. null: nothing is contracted."
    )
    remaining: Credits | None = Field(description="Never below zero, and never more than is available.")
    overage: Credits = Field(description="Used beyond what is available. 0 where there never was a contract.")
    percent_used: Percent | None = Field(description="null without contracted credits.")
    contract_period_used: Credits | None = Field(description="In the whole contract. null without a current contract.")
    products: list[ProductCredits] = Field(description="All three, in a fixed order.")
    credit_period: CreditPeriodRef | None
    contract_period: Period | None
    period_elapsed: Share | None = Field(
        description="How much of the credit period has passed. null: there is none, or it has no end."
    )
    recommended_monthly_budget: RecommendedBudget | None = Field(
        description="null without a current credit period, or without contracted credits in it."
    )
    unallocated: Credits | None = Field(
        description="What the contracted total has more than the products' amounts. null: the contract names no amount."
    )
    add_ons: Credits | None = Field(
        description="Included ones, part of what is available. null without a credit period."
    )
    account_team: AccountTeam | None = Field(
        description="Whom to ask, while there is overage, in total or of a product. null: no overage, or nobody is named."
    )
    time_zone: TimeZone
    complete_to: CompleteTo
    updated_at: datetime | None
