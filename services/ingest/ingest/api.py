"""The HTTP application of ingest: a route for each path of each protocol."""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from runtime.http.server import request_id_of
from runtime.observability.tracing import TRACEPARENT
from starlette.exceptions import HTTPException
from structlog.contextvars import bound_contextvars

from ingest.adapters.adapter import Adapter
from ingest.endpoint import EventEndpoint
from ingest.http.receipts import problem_response
from ingest.http.responses import IngestProblem
from ingest.metrics import REFUSED, REQUEST_SECONDS, REQUESTS


def build_app(endpoint: EventEndpoint, adapters: Sequence[Adapter]) -> FastAPI:
    """The application. schemas/http/ingest-api.json contains its description, which is not served."""
    app = FastAPI(
        title="FlexCredits ingest API",
        version=version("flexcredits-ingest"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for adapter in adapters:
        for path in adapter.paths:
            app.add_api_route(
                path, route(endpoint, adapter, f"POST {path}"), methods=["POST"], **adapter.operation(path)
            )

    @app.exception_handler(HTTPException)
    async def answer_http_error(request: Request, error: HTTPException) -> Response:
        problem = "method-not-allowed" if error.status_code == 405 else "not-found"
        detail = f"{request.method} {request.url.path}: events are sent to POST /api/v1/events"
        return problem_response(IngestProblem(problem, detail, headers=dict(error.headers or {})))

    @app.exception_handler(Exception)
    async def answer_defect(request: Request, error: Exception) -> Response:
        return problem_response(
            IngestProblem("internal", "the request may or may not have been written", outcome="unknown")
        )

    return app


def route(endpoint: EventEndpoint, adapter: Adapter, name: str) -> Callable[[Request], Awaitable[Response]]:
    """The function of one path: answers requests, and counts, times and traces them."""

    async def post_events(request: Request) -> Response:
        began, status = time.perf_counter(), 500
        request_id = request_id_of(request.headers.get("x-request-id", ""))
        causes = [request.headers.get(TRACEPARENT, "")]
        try:
            with bound_contextvars(request_id=request_id), endpoint.tracing.span(name, "server", causes) as span:
                response = await answer(endpoint, request, adapter)
                status = response.status_code
                span.note(http__response__status_code=status)
            response.headers["x-request-id"] = request_id
            return response
        finally:
            REQUESTS.labels(status).inc()
            REQUEST_SECONDS.observe(time.perf_counter() - began)

    return post_events


async def answer(endpoint: EventEndpoint, request: Request, adapter: Adapter) -> Response:
    try:
        return await endpoint.receive(request, adapter)
    except IngestProblem as refused:
        REFUSED.labels(refused.problem).inc()
        return adapter.answer_problem(request.headers, refused)


def utc_now() -> datetime:
    return datetime.now(UTC)
