"""The body of the freshness, and of what fails for one organization."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from query_api.http.fields import Answer, CompleteTo


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
