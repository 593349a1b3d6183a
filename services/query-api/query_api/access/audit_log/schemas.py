"""Response of the audit log."""

from datetime import datetime
from typing import Any

from pydantic import Field

from query_api.http.fields import ResponseBody


class AuditEntry(ResponseBody):
    """An action of a person."""

    id: str
    at: datetime
    email: str
    subject: str = Field(description="The person's id at the identity provider.", examples=["user-1"])
    role: str = Field(description="The person's role at that time.", examples=["admin"])
    action: str = Field(examples=["session.begin", "session.end", "access.refused"])
    details: dict[str, Any] = Field(examples=[{"path": "/api/v1/overview"}])
    request_id: str
    ip: str | None = Field(description="The client's IP address, possibly a proxy's. null: unknown.")


class AuditLog(ResponseBody):
    """A page of audit entries, newest first."""

    entries: list[AuditEntry]
    next: str | None = Field(description="Pass it as `before` to get older entries. null: there are none.")
