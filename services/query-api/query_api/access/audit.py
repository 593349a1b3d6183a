"""Audit entries, written in the transaction of the audited change."""

from collections.abc import Mapping
from typing import Any

from query_api.access.queries import insert_audit
from query_api.auth.principal import Principal
from query_api.db.session import WriteSession
from query_api.http.origin import ORIGIN


async def audit(session: WriteSession, principal: Principal, action: str, details: Mapping[str, Any]) -> None:
    """Insert an audit entry for an action such as `session.begin`. It is committed with the transaction.

    `details` contain old and new values of what changed, never secrets.
    """
    origin = ORIGIN.get()
    await insert_audit(session, principal, action, details, origin.request_id, origin.ip)
