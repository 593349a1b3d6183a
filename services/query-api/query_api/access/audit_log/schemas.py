"""The body of the audit log."""

from datetime import datetime
from typing import Any

from pydantic import Field

from query_api.http.fields import Answer


class AuditEntry(Answer):
    """Something that somebody did."""

    id: str
    at: datetime
    email: str
    subject: str = Field(description="The identity provider's name for the person.", examples=["user-1"])
    role: str = Field(description="The role that the person had then.", examples=["admin"])
    action: str = Field(examples=["session.begin", "session.end", "access.refused"])
    details: dict[str, Any] = Field(examples=[{"path": "/api/v1/overview"}])
    request_id: str
    ip: str | None = Field(description="The peer's address, which may be a proxy's. null: not known.")


class AuditLog(Answer):
    """A page of what was done, newest first."""

    entries: list[AuditEntry]
    next: str | None = Field(description="Give it as `before` to get the page of older ones. null: there are none.")
