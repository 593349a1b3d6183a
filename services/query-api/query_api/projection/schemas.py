"""Request and response of the projection."""

from datetime import date
from typing import Literal

from flexcredits_schemas.events import Product
from pydantic import BaseModel, ConfigDict, Field

from query_api.contracts.range import CREDIT_PERIOD
from query_api.contracts.schemas import CreditPeriodRef
from query_api.http.fields import CompleteTo, Credits, DateRange, ResponseBody, Share, TimeZone
from query_api.overview.schemas import RecommendedBudget

RefusalReason = Literal[
    "no_credit_period", "period_over", "period_not_begun", "too_few_days", "days_missing", "usage_not_counted"
]


class ProjectionQuery(BaseModel):
    """What is projected. By default all usage of the organization in the current credit period."""

    model_config = ConfigDict(extra="forbid")

    credit_period: str | None = Field(None, description=CREDIT_PERIOD)
    product: Product | None = Field(
        None, description="Only usage of this product, compared with its contracted credits."
    )
    agent: str | None = Field(
        None,
        max_length=64,
        examples=["agt_42"],
        description="Only usage of this agent, by its id. Agents have no credits of their own.",
    )


class ProjectedCredits(ResponseBody):
    """In 8 of 10 cases between p10 and p90; p50 is as likely exceeded as not."""

    p10: Credits
    p50: Credits
    p90: Credits


class ProjectedDates(ResponseBody):
    """In 8 of 10 cases from p10 to p90; p50 is the most likely middle. null: not in the projected days."""

    p10: date | None
    p50: date | None
    p90: date | None


class ProjectionBand(ResponseBody):
    """Credits used in the credit period at the end of each day; the first value is that of the day `from`, today."""

    from_: date = Field(alias="from")
    p10: list[Credits]
    p50: list[Credits]
    p90: list[Credits]


class ProjectedPeriod(ResponseBody):
    """The credit period as it is projected to end. How: docs/forecast.md."""

    to: date = Field(
        description="The last projected day: of the credit period, but at most three years from today; if it has no end, in a "
        "year. All values are of the days up to it."
    )
    end_use: ProjectedCredits = Field(description="Used in the credit period at the end of that day.")
    run_out: ProjectedDates | None = Field(
        description="The day on which the remaining credits are used up. null: there are no credits to compare with."
    )
    probability_not_in_period: Share | None = Field(
        description="Probability that the credits last to that day. null as run_out."
    )
    expiring_unused: ProjectedCredits | None = Field(
        description="Credits that expire unused at the end. null as run_out, and if the credit period has no end or one after "
        "`to`: then they do not expire in the projected days, and what will be left is not known."
    )
    coverage: Share | None = Field(
        description="Share of past projections of this usage whose range from p10 to p90 contained what came. null: too few."
    )
    origins: int = Field(description="Number of past days from which a projection was compared with what came.")
    weeks: int = Field(description="Number of complete weeks from which the run rate is taken.")
    band: ProjectionBand


class ProjectionRefusal(ResponseBody):
    """Why there is no projection."""

    reason: RefusalReason
    detail: str


class MonthBudget(ResponseBody):
    """A part of the glide path."""

    days: DateRange
    credits: Credits


class GlidePathResponse(ResponseBody):
    """The budget with which the remaining credits last exactly to the end of the credit period. It is planned again each day,
    and never applied by itself."""

    remaining_credits: Credits = Field(description="What remained when today began.")
    remaining_days: int = Field(description="From today to the end of the credit period.")
    per_day: Credits = Field(description="remaining_credits / remaining_days, rounded down.")
    months: list[MonthBudget] = Field(description="From today, by calendar month. They add up to remaining_credits.")
    monthly_budget: Credits | None = Field(
        description="To save as this month's budget: what the month used before today, and its part of the plan. null for a "
        "product, because budgets are of the organization."
    )
    recommended_monthly_budget: RecommendedBudget | None = Field(
        description="The overview's formula beside it. null for a product."
    )


class ProjectionResponse(ResponseBody):
    """When credits run out. Without a projection, `refusal` has the reason."""

    product: Product | None
    agent: str | None
    credit_period: CreditPeriodRef | None
    used: Credits = Field(description="In the credit period, as in the overview.")
    available: Credits | None = Field(
        description="As in the overview; of a product its contracted credits. null: none, or an agent."
    )
    remaining: Credits | None = Field(description="Between zero and the available credits.")
    exhausted_on: date | None = Field(
        description="The day on which the available credits were used up. null: they are not."
    )
    days_ahead: float | None = Field(
        description="Days by which use is ahead of an even pace, with one decimal place; negative: behind. null without "
        "available credits or without an end.",
    )
    projection: ProjectedPeriod | None
    refusal: ProjectionRefusal | None
    glide_path: GlidePathResponse | None = Field(
        description="null without available credits, and outside of a current credit period with an end."
    )
    time_zone: TimeZone
    complete_to: CompleteTo
