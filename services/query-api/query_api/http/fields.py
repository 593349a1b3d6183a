"""The bodies of our answers. The OpenAPI description is made from these same types.

Credits are decimal strings with exactly six places, "12.500000", so that no client ever reads one as a float.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from flexcredits_schemas.credits import decimal_text
from flexcredits_schemas.events import Product
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from runtime.problems import BASE, ProblemError, ProblemType

PERIOD_KEY = (
    "Names the credit period, as the parameter `credit_period` and in links: contract_id/id, with % and / inside of either "
    "percent-encoded."
)


def _decimal_string(pattern: str, example: str, description: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "pattern": pattern, "examples": [example], "description": description}, mode="serialization"
    )


Credits = Annotated[
    int,
    PlainSerializer(decimal_text, return_type=str),
    _decimal_string(r"^-?\d+\.\d{6}$", "12.500000", "Credits, exact, with six decimal places."),
]
Money = Annotated[
    int,
    PlainSerializer(decimal_text, return_type=str),
    _decimal_string(r"^-?\d+\.\d{6}$", "0.012500", "Money in the contract's currency, exact, with six decimal places."),
]
Share = Annotated[
    int,
    PlainSerializer(decimal_text, return_type=str),
    _decimal_string(r"^-?\d+\.\d{6}$", "0.250000", "A fraction of the whole, with six decimal places."),
]
Percent = Annotated[
    Decimal,
    PlainSerializer(str, return_type=str),
    _decimal_string(
        r"^-?\d+\.\d{2}$", "103.25", "Percent, cut to two places, so that 100.00 means all of it; may exceed 100."
    ),
]
TimeZone = Annotated[
    str | None,
    Field(
        description="IANA name. Every date is one of this zone. null: no fact about the organization has arrived, and "
        "its usage is held until one does.",
        examples=["Asia/Kathmandu"],
    ),
]
CompleteTo = Annotated[
    datetime | None,
    Field(description="Every event received up to this instant is in the totals. null: not known."),
]


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, from_attributes=True)


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


class DateRange(Answer):
    """Inclusive: `to` is the last day of it."""

    from_: date = Field(alias="from")
    to: date


class QuarantineEntry(Answer):
    """Something that fails for this organization, because of its own data; other organizations are not concerned."""

    component: Literal["aggregator", "alerter", "rebuild", "retention"] = Field(description="Which part fails.")
    step: str = Field(
        description="At what: of the aggregator `counting` (all further usage waits), `release` (held usage waits), `catalog` "
        "(a fact waits), `sums` (usage beyond what sums can keep is held)."
    )
    since: datetime
    retry_at: datetime | None = Field(
        description="When it is tried again at the latest. null: when an operator asks for it."
    )


class Freshness(Answer):
    """How far the numbers reach. Missing data is told apart from no usage."""

    updated_at: datetime | None = Field(description="When the totals last changed.")
    complete_to: CompleteTo
    lag_seconds: float | None = Field(description="From complete_to until now.")
    held: int = Field(
        description="This organization's events that are not counted yet: they wait for a fact, or for the end of its quarantine."
    )
    quarantine: list[QuarantineEntry] = Field(
        description="What fails for this organization alone and is tried again. Empty when all is well."
    )
    state: Literal["current", "delayed", "no_data"] = Field(
        description="delayed: complete_to is unknown or more than a minute ago. no_data: nothing was ever counted here."
    )


class ParameterError(Answer):
    parameter: str | None = None
    pointer: str | None = Field(
        default=None, description="In the body (RFC 6901), empty for all of it.", examples=["/usage/thresholds/1"]
    )
    detail: str


class Problem(Answer):
    """RFC 9457."""

    type: str = Field(description="Stable, for programs.", examples=[BASE + "forbidden"])
    title: str
    status: int
    detail: str = Field(description="For people.")
    errors: list[ParameterError] | None = Field(
        default=None, description="With 422: what is wrong with which parameter, or where in the body."
    )
    current_version: int | None = Field(default=None, description="With 412: what is saved now.")
    updated_by: str | None = Field(default=None, description="With 412: who saved it.")
    updated_at: datetime | None = Field(default=None, description="With 412: when.")


TITLES = {
    "unauthorized": ProblemType(401, "No valid access token"),
    "forbidden": ProblemType(403, "Not allowed for your role"),
    "cross-site": ProblemType(403, "Request from another site"),
    "sign-in-failed": ProblemType(403, "Sign-in failed"),
    "not-found": ProblemType(404, "Not found"),
    "no-credit-period": ProblemType(404, "Credit period not found"),
    "no-such-event": ProblemType(404, "Event not found"),
    "no-such-alert": ProblemType(404, "Alert not found"),
    "no-such-channel": ProblemType(404, "Channel not found"),
    "method-not-allowed": ProblemType(405, "Method not allowed"),
    "too-slow": ProblemType(408, "Request timed out"),
    "another-banner": ProblemType(409, "Banner out of date"),
    "no-address": ProblemType(409, "No email address"),
    "nothing-to-resend": ProblemType(409, "Nothing to resend"),
    "too-many-channels": ProblemType(409, "Too many channels"),
    "channel-stopped": ProblemType(409, "Channel stopped"),
    "changed-meanwhile": ProblemType(412, "Changed by someone else"),
    "too-large": ProblemType(413, "Request too large"),
    "invalid-parameter": ProblemType(422, "Invalid parameter"),
    "precondition-required": ProblemType(428, "Version required"),
    "too-soon": ProblemType(429, "Too many requests"),
    "internal": ProblemType(500, "Internal error"),
    "unavailable": ProblemType(503, "Temporarily unavailable"),
}


class Refused(ProblemError):
    """A request that is answered with a problem; `problem` is a key of TITLES."""

    types = TITLES

    @property
    def body(self) -> Problem:
        return Problem(**self.members)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer beside the problems of all routes; the description fills in what they look like."""
    return {status: {} for status in statuses}
