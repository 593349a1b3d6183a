"""Where a request came from."""

from contextvars import ContextVar
from ipaddress import ip_address
from typing import NamedTuple

from runtime.http.server import request_id_of
from starlette.datastructures import Headers
from starlette.types import Scope


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
