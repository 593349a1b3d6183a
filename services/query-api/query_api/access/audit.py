"""Who did what: `audit` is called in the transaction that does it."""

from collections.abc import Mapping
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any, NamedTuple

from runtime.http import request_id_of
from starlette.datastructures import Headers
from starlette.types import Scope

from query_api.auth.tokens import Person
from query_api.db.writes import Writing


class Origin(NamedTuple):
    """Where a request came from: its id, which its answer repeats, and its peer, which may be a proxy."""

    request_id: str
    ip: str | None


ORIGIN: ContextVar[Origin] = ContextVar("origin")
"""Of the request at hand."""


def origin_of(scope: Scope) -> Origin:
    """Its own id where it has one."""
    try:
        ip = str(ip_address(scope["client"][0]))
    except (TypeError, ValueError):
        ip = None  # a Unix socket, or no peer at all
    return Origin(request_id_of(Headers(scope=scope).get("x-request-id", "")), ip)


async def audit(writing: Writing, person: Person, action: str, details: Mapping[str, Any]) -> None:
    """Write down that `person` did `action`, a name such as `session.begin`; it stands if the transaction does.

    `details` hold what was changed, with old and new values, and never a secret.
    """
    origin = ORIGIN.get()
    await writing.insert_audit(person, action, details, origin.request_id, origin.ip)
