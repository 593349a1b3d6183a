"""GET /api/v1/audit: who signed in and out, was refused, changed settings, took data away."""

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from query_api.answers import Answer
from query_api.api import invalid_parameter
from query_api.firings import InvalidCursor, read_cursor, write_cursor
from query_api.policies import LookAdmin

router = APIRouter(prefix="/api/v1")


class Deed(Answer):
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

    deeds: list[Deed]
    next: str | None = Field(description="Give it as `before` to get the page of older ones. null: there are none.")


class AuditQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200)
    before: str | None = Field(None, description="`next` of a previous answer: go on where that one ended.")


@router.get("/audit")
async def get_audit(reading: LookAdmin, query: Annotated[AuditQuery, Query()]) -> AuditLog:
    """Who did what, newest first. For Super Admins and Admins."""
    try:
        before = None if query.before is None else read_cursor(query.before)
    except InvalidCursor:
        raise invalid_parameter("before", "must be `next` of a previous answer") from None
    rows = await reading.select_audit(before, query.limit + 1)  # one more says whether there is a next page
    page = rows[: query.limit]
    return AuditLog(
        deeds=[
            Deed(
                id=str(row.audit_id),
                at=row.at,
                email=row.email,
                subject=row.subject,
                role=row.role,
                action=row.action,
                details=json.loads(row.details),
                request_id=row.request_id,
                ip=row.ip,
            )
            for row in page
        ],
        next=write_cursor(page[-1].audit_id) if len(rows) > len(page) else None,
    )
