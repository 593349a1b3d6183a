"""Requests, responses and audit details of alert settings."""

from datetime import date, datetime
from typing import Annotated, Any

from flexcredits_schemas.credits import decimal_text
from pydantic import BeforeValidator, Field, StrictBool, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from query_api.alerts.schemas import ProjectedPass
from query_api.alerts.settings.domain.preview import Notification
from query_api.alerts.settings.domain.rules import (
    ADDRESSES_MAX,
    CREDITS_BELOW,
    PERCENT_MAX,
    THRESHOLDS_MAX,
    AlertSettings,
    BudgetKind,
    NewBudget,
    Recipients,
    RuleSettings,
    read_credits,
)
from query_api.contracts.schemas import CreditPeriodRef
from query_api.http.fields import Credits, RequestBody, ResponseBody
from query_api.overview.schemas import RecommendedBudget


def _read_credits(amount: object) -> object:
    if amount is None:
        return None
    try:
        return read_credits(amount)
    except ValueError as error:
        raise PydanticCustomError("credits", "{words}", {"words": str(error)}) from None


Amount = Annotated[
    int | None,
    BeforeValidator(_read_credits),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})?$"},
                {"type": "number", "minimum": 0, "exclusiveMaximum": CREDITS_BELOW},
                {"type": "null"},
            ],
            "description": "Credits with at most six decimal places. Strings are always exact.",
            "examples": ["5000.000000"],
        },
        mode="validation",
    ),
]
Thresholds = Annotated[
    list[Annotated[int, Field(strict=True, ge=1, le=PERCENT_MAX)]],
    Field(max_length=THRESHOLDS_MAX, examples=[[75, 90]]),
]


ProjectedThresholds = Annotated[
    Thresholds | None,
    Field(
        description="Percent that usage is projected to pass before the period ends, without duplicates. Empty: off. Left out or "
        "null: as saved before.",
        examples=[[100]],
    ),
]


class RecipientsRequest(RequestBody):
    """Recipients in addition to the role holders."""

    enabled: StrictBool
    addresses: list[StrictStr] = Field(
        max_length=ADDRESSES_MAX, description="Stored as given, even while not enabled. Without duplicates."
    )

    def read(self) -> Recipients:
        return Recipients(self.enabled, self.addresses)


class UsageAlertsRequest(RequestBody):
    """Thresholds in percent of the credit period's available credits, and additional recipients."""

    thresholds: Thresholds = Field(description="Percent, without duplicates. Empty: no usage alerts.")
    projected_thresholds: ProjectedThresholds = None
    additional_recipients: RecipientsRequest

    def read(self) -> RuleSettings:
        return RuleSettings(self.thresholds, self.additional_recipients.read(), self.projected_thresholds)


class MonthlyBudgetRequest(RequestBody):
    """A soft budget: it sends mails and blocks nothing."""

    enabled: StrictBool = Field(
        description="false deletes the budget, also the recurring one that would resume after a one-time budget."
    )
    type: BudgetKind = Field(description="one_time: only for the current month in the organization's time zone.")
    credits: Amount = Field(description="More than zero if enabled.")
    thresholds: Thresholds = Field(
        description="Percent of the budget, without duplicates; at least one if enabled, of either kind."
    )
    projected_thresholds: ProjectedThresholds = None
    additional_recipients: RecipientsRequest

    def read(self) -> NewBudget:
        rule = RuleSettings(self.thresholds, self.additional_recipients.read(), self.projected_thresholds)
        return NewBudget(self.enabled, self.type, self.credits, rule)


class AlertSettingsRequest(RequestBody):
    """All alert settings."""

    usage: UsageAlertsRequest
    monthly_budget: MonthlyBudgetRequest


class PreviewRequest(RequestBody):
    """Settings to preview; either part may be left out."""

    usage: UsageAlertsRequest | None = None
    monthly_budget: MonthlyBudgetRequest | None = None


class AdditionalRecipients(ResponseBody):
    """Recipients in addition to the role holders."""

    enabled: bool
    addresses: list[str] = Field(description="Stored even while not enabled.")


class ThresholdProjection(ProjectedPass):
    """When usage is projected to pass a threshold."""

    threshold: int


class RuleProjection(ResponseBody):
    """The last projection that alerts are based on: of the current credit period, or of the current month."""

    on: date = Field(description="The day of the projection, in the organization's time zone.")
    thresholds: list[ThresholdProjection] = Field(description="Of the projected thresholds. Empty if it was refused.")
    refusal: str | None = Field(
        description="Why there is no projection, for people. Then nothing fires or is resolved."
    )


class RuleProjections(ResponseBody):
    """null without projected thresholds, and before the first projection of the period."""

    usage: RuleProjection | None
    monthly_budget: RuleProjection | None


class UsageAlerts(ResponseBody):
    thresholds: list[int] = Field(description="Percent of the credit period's available credits.")
    projected_thresholds: list[int] = Field(description="Percent that usage is projected to pass. Empty: off.")
    additional_recipients: AdditionalRecipients


class MonthlyBudgetAlerts(ResponseBody):
    """The budget of the current month."""

    enabled: bool
    type: BudgetKind
    credits: Credits | None = Field(description="null unless enabled.")
    month: str | None = Field(description="For a one-time budget.", examples=["2026-11"])
    resumes: Credits | None = Field(description="The recurring budget that resumes after a one-time budget.")
    thresholds: list[int] = Field(description="Percent of the budget.")
    projected_thresholds: list[int] = Field(description="Percent that usage is projected to pass. Empty: off.")
    additional_recipients: AdditionalRecipients
    used_this_month: Credits


class ExplainedBudget(RecommendedBudget):
    """The recommended budget of the overview, with an explanation."""

    explanation: str


class AlertSettingsResponse(ResponseBody):
    """Alert settings, with figures that help to choose them. The ETag is the version: pass it as If-Match to save."""

    version: int = Field(description="0: not saved yet; the defaults apply.")
    updated_at: datetime | None = Field(description="null at version 0.")
    updated_by: str | None = Field(description="Address of the person who saved or unsubscribed. null at version 0.")
    usage: UsageAlerts
    monthly_budget: MonthlyBudgetAlerts
    projections: RuleProjections = Field(description="What alerts on projected usage are based on.")
    recommended_monthly_budget: ExplainedBudget | None = Field(
        description="null without a current credit period, or without contracted credits in it."
    )
    role_recipients: list[str] = Field(description="Recipients by role.")


class UsageFiring(ResponseBody):
    """A threshold that a credit period would have met."""

    threshold: int
    credit_period: CreditPeriodRef
    on: date = Field(description="The day whose usage met the threshold.")
    used: Credits = Field(description="Used in the period until the end of that day.")
    available: Credits
    notification: Notification = Field(description="bundled: by the mails of a higher threshold met on the same day.")


class BudgetFiring(ResponseBody):
    """A threshold that a month would have met."""

    threshold: int
    month: str = Field(examples=["2026-09"])
    on: date = Field(description="The day whose usage met the threshold.")
    used: Credits = Field(description="Used in the month until the end of that day.")
    budget: Credits
    notification: Notification = Field(description="bundled: by the mails of a higher threshold met on the same day.")


class UsagePreview(ResponseBody):
    firings: list[UsageFiring] = Field(description="For all credit periods, in order.")
    recipients: list[str] = Field(description="Recipients of the mails.")


class BudgetPreview(ResponseBody):
    firings: list[BudgetFiring] = Field(description="For the last twelve months and the current one, in order.")
    recipients: list[str] = Field(description="Recipients of the mails.")


class Preview(ResponseBody):
    """When these settings would have fired, and the recipients; a part that the request leaves out is null."""

    usage: UsagePreview | None
    monthly_budget: BudgetPreview | None


def audit_details(settings: AlertSettings) -> dict[str, Any]:
    """Settings as details of an audit entry."""
    once_month, amounts = settings.once_month, (settings.recurring_credits, settings.once_credits)
    recurring, once = (None if amount is None else decimal_text(amount) for amount in amounts)
    return {
        "version": settings.version,
        "usage": _audit_rule(settings.usage),
        "monthly_budget": {
            "recurring_credits": recurring,
            "one_time_credits": once,
            "one_time_month": f"{once_month:%Y-%m}" if once_month else None,
            **_audit_rule(settings.budget),
        },
    }


def _audit_rule(rule: RuleSettings) -> dict[str, Any]:
    recipients = {"enabled": rule.recipients.is_on, "addresses": list(rule.recipients.addresses)}
    return {
        "thresholds": list(rule.thresholds),
        "projected_thresholds": list(rule.projected or ()),
        "additional_recipients": recipients,
    }
