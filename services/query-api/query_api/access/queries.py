"""Statements about the audit log, which is also used for rate limits."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from query_api.auth.principal import Principal
from query_api.db.rows import from_records
from query_api.db.session import ReadSession, WriteSession
from query_api.db.statements import SQL


class StoredAuditEntry(NamedTuple):
    audit_id: int
    at: datetime
    subject: str
    email: str
    role: str
    action: str
    details: str  # JSON
    request_id: str
    ip: str | None


async def insert_audit(
    session: WriteSession,
    principal: Principal,
    action: str,
    details: Mapping[str, Any],
    request_id: str,
    ip: str | None,
) -> None:
    await session.connection.execute(
        SQL["insert_audit"], session.organization_id, principal.subject, principal.email, principal.role, action,
        json.dumps(details), request_id, ip,
    )  # fmt: skip


async def select_audit(session: ReadSession, before: int | None, limit: int) -> list[StoredAuditEntry]:
    """Newest first: entries before `before`, or the newest ones if it is None."""
    rows = await session.connection.fetch(SQL["select_audit"], session.organization_id, before, limit)
    return from_records(StoredAuditEntry, rows)


async def lock_principal(session: WriteSession, subject: str) -> None:
    """Serialize the requests of one principal until the transaction ends."""
    await session.connection.execute(SQL["lock_principal"], session.organization_id, subject)


async def select_wait(session: ReadSession, subject: str, action: str, every_s: float) -> float:
    """Seconds until the principal may repeat an action that is allowed once per `every_s`; 0: now."""
    wait_s: float | None = await session.connection.fetchval(
        SQL["select_wait"], session.organization_id, subject, action, every_s
    )
    return max(0.0, wait_s or 0.0)
