"""Response of the session."""

from datetime import datetime
from typing import Literal

from flexcredits_schemas.events import PeopleMode
from pydantic import Field

from query_api.http.fields import ResponseBody, TimeZone


class SessionResponse(ResponseBody):
    """The signed-in person."""

    email: str = Field(description="Empty if the identity provider did not send one.")
    name: str = Field(description="Empty if the identity provider did not send one.")
    organization: str
    organization_name: str | None = Field(description="null: no event of the organization has arrived yet.")
    locale: str = Field(description="The organization's locale (BCP 47), for numbers and dates.", examples=["en-CA"])
    time_zone: TimeZone
    role: str
    people: PeopleMode = Field(
        description="What is shown of people. named: ids and names. pseudonymous: aliases. groups_only: only groups."
    )
    my_usage: bool = Field(description="Whether people of the organization may see their own usage.")
    expires_at: datetime | None = Field(
        description="When the session or token expires. A session also ends when it is idle."
    )
    auth_method: Literal["session", "token"]
    refusal_reason: str | None = Field(
        description="Why this person has no access to the dashboard, as text for people. null: access is allowed."
    )
