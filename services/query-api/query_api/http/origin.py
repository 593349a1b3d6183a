"""Request id and client address of the current request."""

from contextvars import ContextVar
from ipaddress import ip_address
from typing import NamedTuple

from runtime.http.server import request_id_of
from starlette.datastructures import Headers
from starlette.types import Scope


class Origin(NamedTuple):
    """Request id, which the response repeats, and client address, possibly a proxy's."""

    request_id: str
    ip: str | None


ORIGIN: ContextVar[Origin] = ContextVar("origin")
"""Origin of the current request."""


def origin_of(scope: Scope) -> Origin:
    """Origin of a request. Uses its own request id if it has one."""
    try:
        ip = str(ip_address(scope["client"][0]))
    except (TypeError, ValueError):
        ip = None  # a Unix socket, or no peer at all
    return Origin(request_id_of(Headers(scope=scope).get("x-request-id", "")), ip)
