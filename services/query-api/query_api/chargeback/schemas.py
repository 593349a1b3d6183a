"""Requests and responses about a credit period by who used it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from query_api.attributions.domain.spans import Membership, PeopleMode
from query_api.attributions.domain.tally import PeopleRowKind
from query_api.contracts.range import CREDIT_PERIOD
from query_api.contracts.schemas import PERIOD_KEY
from query_api.http.fields import CompleteTo, CreditsText, ShareText, TimeZone

MoneyText = Annotated[str, Field(examples=["1.250000"])]


class ChargebackQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    credit_period: str | None = Field(None, description=f"{CREDIT_PERIOD} By default as in `reconcile`.")
    by: Literal["person", "group"] = Field(
        "group", description="person is refused if the organization shows groups only. group: the tree of groups."
    )
    membership: Membership = Field("then", description="As in `usage/people`.")
    limit: int = Field(50, ge=1, le=1000, description="Maximum number of rows at the top level.")
    after: str | None = Field(None, description="`next` of the previous response, to continue after it.")


@dataclass(slots=True)
class ChargebackRow:
    """A row's part of each line. Its child rows, if any, add up to it exactly."""

    kind: Annotated[PeopleRowKind, Field(description="As in the response of people.")]
    id: str
    name: str
    credits: Annotated[CreditsText, Field(description="Used, with corrections: part of the line feature_total.")]
    share: Annotated[ShareText, Field(description="Share of the feature total.")]
    within_available: CreditsText
    overage: CreditsText
    amount: Annotated[
        MoneyText | None,
        Field(description="Part of the amount due. null if that is unknown, or nothing was used."),
    ]
    rows: "list[ChargebackRow]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chargeback:
    """Lines of the reconciliation by who used the credits. Pinned rows and the rows of all pages add up to each line exactly, if
    these pages have the same lines. Usage that is counted meanwhile changes lines and parts: begin again with the first page.

    Overage and the amount due are divided in proportion to the credits that each row used in the whole period.
    """

    credit_period: Annotated[
        str | None,
        Field(description=f"null: no current credit period. {PERIOD_KEY}", examples=["contract-2026/year-1"]),
    ]
    by: Literal["person", "group"]
    membership: Membership
    people_mode: PeopleMode
    feature_total: CreditsText
    within_available: CreditsText
    overage: CreditsText
    amount_due: Annotated[MoneyText | None, Field(description="As in `reconcile`.")]
    currency: Annotated[str | None, Field(description="ISO 4217. null: the contract has none.", examples=["USD"])]
    pinned: Annotated[list[ChargebackRow], Field(description="On every page; those with usage.")]
    rows: Annotated[list[ChargebackRow], Field(description="Sorted by credits (highest first), then id.")]
    next: Annotated[str | None, Field(description="As in the response of people.")]
    moved: Annotated[bool, Field(description="As in the response of people.")]
    time_zone: TimeZone
    complete_to: CompleteTo
