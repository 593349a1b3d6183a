"""Middleware for all requests: metrics, traces, request ids, and default response headers."""

import time

from runtime.observability.tracing import TRACEPARENT, Tracing
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from query_api.http.origin import ORIGIN, origin_of
from query_api.metrics import REQUEST_SECONDS

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
}
NO_CONTENT_POLICY = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""Content security policy of responses that are not pages: load nothing."""


class RequestObserver:
    """Measures and traces every request, and adds security and cache headers that the response does not set."""

    def __init__(self, app: ASGIApp, tracing: Tracing | None = None) -> None:
        self._app = app
        self._tracing = tracing or Tracing()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        origin = origin_of(scope)
        ORIGIN.set(origin)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = dict(message.get("headers", ()))
                defaults = {b"cache-control": b"no-store", b"content-security-policy": NO_CONTENT_POLICY}
                missing = [(name, value) for name, value in defaults.items() if name not in given]
                message["headers"] = [*message.get("headers", ()), *HEADERS.items(), *missing]
                message["headers"].append((b"x-request-id", origin.request_id.encode()))
            await send(message)

        traceparent = Headers(scope=scope).get(TRACEPARENT, "")
        try:
            with (
                bound_contextvars(request_id=origin.request_id),
                self._tracing.span(scope["method"], "server", [traceparent]) as span,
            ):
                try:
                    await self._app(scope, receive, send_with_headers)
                finally:
                    if "route" in scope:
                        span.rename(f"{scope['method']} {route_of(scope)}")
                    span.note(http__route=route_of(scope), http__response__status_code=status)
        finally:
            REQUEST_SECONDS.labels(route_of(scope), status).observe(time.perf_counter() - began)


def route_of(scope: Scope) -> str:
    """The route's template, because the number of paths is unbounded."""
    return getattr(scope.get("route"), "path", "unmatched")
