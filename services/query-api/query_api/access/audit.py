"""Who did what: `audit` is called in the transaction that does it."""

from collections.abc import Mapping
from typing import Any

from query_api.access.queries import insert_audit
from query_api.auth.principal import Principal
from query_api.db.session import WriteSession
from query_api.http.origin import ORIGIN


async def audit(session: WriteSession, principal: Principal, action: str, details: Mapping[str, Any]) -> None:
    """Write down that `person` did `action`, a name such as `session.begin`; it stands if the transaction does.

    `details` hold what was changed, with old and new values, and never a secret.
    """
    origin = ORIGIN.get()
    await insert_audit(session, principal, action, details, origin.request_id, origin.ip)
