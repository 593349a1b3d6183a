"""The bodies of what admins set: as they ask for it, as it is answered, and as the audit log keeps it."""

from datetime import date, datetime
from typing import Annotated, Any

from flexcredits_schemas.credits import decimal_text
from pydantic import BeforeValidator, Field, StrictBool, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from query_api.alerts.settings.domain.preview import Notification
from query_api.alerts.settings.domain.rules import (
    ADDRESSES_MAX,
    CREDITS_BELOW,
    PERCENT_MAX,
    THRESHOLDS_MAX,
    AlertSettings,
    AskedBudget,
    Kind,
    Recipients,
    Rule,
    read_credits,
)
from query_api.contracts.schemas import CreditPeriodRef
from query_api.http.fields import Answer, Asked, Credits
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
            "description": "Credits with at most six decimal places. A string is exact, however many digits it has.",
            "examples": ["5000.000000"],
        },
        mode="validation",
    ),
]
Thresholds = Annotated[
    list[Annotated[int, Field(strict=True, ge=1, le=PERCENT_MAX)]],
    Field(max_length=THRESHOLDS_MAX, examples=[[75, 90]]),
]


class RecipientsRequest(Asked):
    """Recipients in addition to the role holders."""

    enabled: StrictBool
    addresses: list[StrictStr] = Field(
        max_length=ADDRESSES_MAX, description="Kept as they are given, also while not enabled; no address twice."
    )

    def read(self) -> Recipients:
        return Recipients(self.enabled, self.addresses)


class UsageAlertsRequest(Asked):
    """Thresholds in percent of the credit period's available credits, and additional recipients."""

    thresholds: Thresholds = Field(description="Percent, none twice. Empty: there are no usage alerts.")
    additional_recipients: RecipientsRequest

    def read(self) -> Rule:
        return Rule(self.thresholds, self.additional_recipients.read())


class MonthlyBudgetRequest(Asked):
    """A soft budget: it mails, and blocks nothing."""

    enabled: StrictBool = Field(description="false forgets a budget, and what would resume after a one-time one.")
    type: Kind = Field(description="one_time: for the current month of the organization's time zone alone.")
    credits: Amount = Field(description="More than zero if enabled.")
    thresholds: Thresholds = Field(description="Percent of the budget, none twice; at least one if enabled.")
    additional_recipients: RecipientsRequest

    def read(self) -> AskedBudget:
        rule = Rule(self.thresholds, self.additional_recipients.read())
        return AskedBudget(self.enabled, self.type, self.credits, rule)


class AlertSettingsRequest(Asked):
    """Everything that is set."""

    usage: UsageAlertsRequest
    monthly_budget: MonthlyBudgetRequest


class PreviewRequest(Asked):
    """What is not saved yet; either part may be left out."""

    usage: UsageAlertsRequest | None = None
    monthly_budget: MonthlyBudgetRequest | None = None


class AdditionalRecipients(Answer):
    """Recipients in addition to the role holders."""

    enabled: bool
    addresses: list[str] = Field(description="Kept while not enabled.")


class UsageAlerts(Answer):
    thresholds: list[int] = Field(description="Percent of the credit period's available credits.")
    additional_recipients: AdditionalRecipients


class MonthlyBudgetAlerts(Answer):
    """The budget of the current month."""

    enabled: bool
    type: Kind
    credits: Credits | None = Field(description="null unless enabled.")
    month: str | None = Field(description="Of a one-time budget.", examples=["2026-11"])
    resumes: Credits | None = Field(description="The recurring budget that holds again after a one-time one.")
    thresholds: list[int] = Field(description="Percent of the budget.")
    additional_recipients: AdditionalRecipients
    used_this_month: Credits


class ExplainedBudget(RecommendedBudget):
    """The overview's, in words too."""

    explanation: str


class AlertSettingsResponse(Answer):
    """What is set, and what helps to set it. Its ETag is its version alone: give it as If-Match to save."""

    version: int = Field(description="0: nobody has saved anything, and the defaults hold.")
    updated_at: datetime | None = Field(description="null at version 0.")
    updated_by: str | None = Field(description="Address of who saved, or of who unsubscribed. null at version 0.")
    usage: UsageAlerts
    monthly_budget: MonthlyBudgetAlerts
    recommended_monthly_budget: ExplainedBudget | None = Field(
        description="null without a current credit period, or without contracted credits in it."
    )
    role_recipients: list[str] = Field(description="Who is mailed for a role.")


class UsageFiring(Answer):
    """A threshold that a credit period would have met."""

    threshold: int
    credit_period: CreditPeriodRef
    on: date = Field(description="The day whose usage met it.")
    used: Credits = Field(description="In the period, to the end of that day.")
    available: Credits
    notification: Notification = Field(description="bundled: by the mails of a higher threshold met on the same day.")


class BudgetFiring(Answer):
    """A threshold that a month would have met."""

    threshold: int
    month: str = Field(examples=["2026-09"])
    on: date = Field(description="The day whose usage met it.")
    used: Credits = Field(description="In the month, to the end of that day.")
    budget: Credits
    notification: Notification = Field(description="bundled: by the mails of a higher threshold met on the same day.")


class UsagePreview(Answer):
    firings: list[UsageFiring] = Field(description="Of all credit periods, in order.")
    recipients: list[str] = Field(description="Whom the mails would go to.")


class BudgetPreview(Answer):
    firings: list[BudgetFiring] = Field(description="Of the last twelve months and the current one, in order.")
    recipients: list[str] = Field(description="Whom the mails would go to.")


class Preview(Answer):
    """When these settings would have fired, and the recipients; a part that the request leaves out is null."""

    usage: UsagePreview | None
    monthly_budget: BudgetPreview | None


def write_down(settings: AlertSettings) -> dict[str, Any]:
    """For the audit log."""
    once_month, amounts = settings.once_month, (settings.recurring_credits, settings.once_credits)
    recurring, once = (None if amount is None else decimal_text(amount) for amount in amounts)
    return {
        "version": settings.version,
        "usage": _write_down_rule(settings.usage),
        "monthly_budget": {
            "recurring_credits": recurring,
            "one_time_credits": once,
            "one_time_month": f"{once_month:%Y-%m}" if once_month else None,
            **_write_down_rule(settings.budget),
        },
    }


def _write_down_rule(rule: Rule) -> dict[str, Any]:
    recipients = {"enabled": rule.recipients.is_on, "addresses": list(rule.recipients.addresses)}
    return {"thresholds": list(rule.thresholds), "additional_recipients": recipients}
