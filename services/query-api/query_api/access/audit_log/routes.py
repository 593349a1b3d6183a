"""GET /api/v1/audit: who signed in and out, was refused, changed settings, took data away."""

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from query_api.access.dependencies import LookAdmin
from query_api.contracts.range import HistoryQuery
from query_api.http.fields import Answer
from query_api.usage.breakdown.domain.cursor import cut_history

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


@router.get("/audit")
async def get_audit(reading: LookAdmin, query: Annotated[HistoryQuery, Query()]) -> AuditLog:
    """Who did what, newest first. For Super Admins and Admins."""
    rows = await reading.select_audit(query.read_before(), query.limit + 1)
    page, following = cut_history(rows, query.limit, lambda row: row.audit_id)
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
        next=following,
    )
