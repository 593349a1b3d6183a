"""Requests and responses of test mails and resends."""

from datetime import datetime
from typing import Literal

from pydantic import Field, StrictStr

from query_api.alerts.schemas import Delivery
from query_api.http.fields import RequestBody, ResponseBody

RuleToTest = Literal["usage", "monthly_budget"]


class TestMailRequest(RequestBody):
    rule: RuleToTest


class ResendRequest(RequestBody):
    recipient: StrictStr | None = Field(description="A recipient whose mail failed. null: all of them.")


class TestMails(ResponseBody):
    """Your latest test mails."""

    mails: list[Delivery] = Field(description="At most five, newest first.")


class TestMailAccepted(ResponseBody):
    """The mail is created within a second, unless the alerter is down."""

    recipient: str
    requested_at: datetime


class ResendAccepted(ResponseBody):
    """The mails are due within a second, unless the alerter is down."""

    recipients: list[str] = Field(description="Recipients to whom it is sent again.")
    requested_at: datetime
