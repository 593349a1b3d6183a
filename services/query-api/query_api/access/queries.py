"""Statements about the audit log, which also says when a person did something last."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from query_api.auth.principal import Principal
from query_api.db.rows import from_records
from query_api.db.session import ReadSession, WriteSession
from query_api.db.statements import SQL


class AuditEntry(NamedTuple):
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


async def select_audit(session: ReadSession, before: int | None, limit: int) -> list[AuditEntry]:
    """The newest first, those before the row `before` or from the newest on."""
    rows = await session.connection.fetch(SQL["select_audit"], session.organization_id, before, limit)
    return from_records(AuditEntry, rows)


async def lock_person(session: WriteSession, subject: str) -> None:
    """One request of a person at a time, until the transaction ends."""
    await session.connection.execute(SQL["lock_person"], session.organization_id, subject)


async def select_wait(session: ReadSession, subject: str, action: str, every_s: float) -> float:
    """Seconds until a person may do again what may be done once in `every_s`; 0 for now."""
    wait_s: float | None = await session.connection.fetchval(
        SQL["select_wait"], session.organization_id, subject, action, every_s
    )
    return max(0.0, wait_s or 0.0)
