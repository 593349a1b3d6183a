"""The body of a session."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from query_api.http.fields import Answer, TimeZone


class SessionResponse(Answer):
    """The signed-in person."""

    email: str = Field(description="Empty when the identity provider did not say.")
    name: str = Field(description="Empty when the identity provider did not say.")
    organization: str
    organization_name: str | None = Field(description="null: nothing is known of the organization yet.")
    locale: str = Field(
        description="BCP 47, of the organization: how numbers and dates are written.", examples=["en-CA"]
    )
    time_zone: TimeZone
    role: str
    expires_at: datetime | None = Field(description="When the session or token ends; a session also ends by disuse.")
    auth_method: Literal["session", "token"]
    refusal_reason: str | None = Field(
        description="Why this person may not see the dashboard, for people. null: they may."
    )
