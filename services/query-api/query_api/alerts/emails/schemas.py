"""The bodies of test mails, and of mails that are sent again."""

from datetime import datetime
from typing import Literal

from pydantic import Field, StrictStr

from query_api.alerts.schemas import Delivery
from query_api.http.fields import Answer, Asked

RuleToTest = Literal["usage", "monthly_budget"]


class TestMailRequest(Asked):
    rule: RuleToTest


class ResendRequest(Asked):
    recipient: StrictStr | None = Field(description="One whose mail failed. null: everybody whose did.")


class TestMails(Answer):
    """The latest test mails to the person who asks."""

    mails: list[Delivery] = Field(description="At most five, newest first.")


class TestMailAccepted(Answer):
    """It is written within a second, unless the alerter is down."""

    recipient: str
    requested_at: datetime


class ResendAccepted(Answer):
    """They are due within a second, unless the alerter is down."""

    recipients: list[str] = Field(description="Whom it is sent to again.")
    requested_at: datetime
