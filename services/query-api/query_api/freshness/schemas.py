"""Response of the freshness, with quarantined steps."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from query_api.http.fields import CompleteTo, ResponseBody


class QuarantineEntry(ResponseBody):
    """A step that fails because of this organization's data. Others are not affected."""

    component: Literal["aggregator", "alerter", "rebuild", "retention"] = Field(description="The component that fails.")
    step: str = Field(
        description="The step. In the aggregator: `counting` (all usage waits), `release` (held usage waits), `catalog` "
        "(a catalog event waits), `sums` (usage beyond the range of sums is held)."
    )
    since: datetime
    retry_at: datetime | None = Field(description="Latest time of the next retry. null: retried only by an operator.")


class Freshness(ResponseBody):
    """How current the totals are. Distinguishes missing data from no usage."""

    updated_at: datetime | None = Field(description="When the totals last changed.")
    complete_to: CompleteTo
    lag_seconds: float | None = Field(description="Seconds from complete_to until now.")
    held: int = Field(
        description="This organization's events that are not counted yet: they wait for a catalog event or a quarantine."
    )
    quarantine: list[QuarantineEntry] = Field(
        description="Steps that fail for this organization only, and are retried. Normally empty."
    )
    state: Literal["current", "delayed", "no_data"] = Field(
        description="delayed: complete_to is unknown or more than a minute ago. no_data: nothing was counted yet."
    )
