"""GET /api/v1/audit: sign-ins and sign-outs, refusals, changed settings, downloads."""

import json
from typing import Annotated

from fastapi import APIRouter, Query

from query_api.access.audit_log.schemas import AuditEntry, AuditLog
from query_api.access.dependencies import AdminAccess
from query_api.access.queries import select_audit
from query_api.http.pagination import HistoryQuery, cut_history

router = APIRouter(prefix="/api/v1")


@router.get("/audit")
async def get_audit(session: AdminAccess, query: Annotated[HistoryQuery, Query()]) -> AuditLog:
    """Audit entries, newest first. For Super Admins and Admins."""
    rows = await select_audit(session, query.read_before(), query.limit + 1)
    page, following = cut_history(rows, query.limit, lambda row: row.audit_id)
    return AuditLog(
        entries=[
            AuditEntry(
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
