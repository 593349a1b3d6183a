"""The HTTP application around the endpoints: problems for errors, the API's description, headers and measurements."""

import time
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query_api import alerts, api
from query_api.answers import BASE, TITLES, ParameterError, Problem, Refused
from query_api.metrics import REFUSED, REQUEST_SECONDS
from query_api.policies import POLICIES, Parts
from query_api.store import Unavailable

log = structlog.get_logger()

RETRY_AFTER_S = "2"
PUBLIC = frozenset({"/openapi.json", "/docs", "/docs/assets"})
"""The only routes without a policy: they describe the API and hold nobody's data."""

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"cache-control": b"no-store",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
}


def build_app(parts: Parts | None) -> FastAPI:
    """The application; without parts it can only be described."""
    app = FastAPI(
        title="FlexCredits query API",
        version="1",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts = parts
    app.include_router(api.router)
    app.include_router(alerts.router)
    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_offline", "static")]))
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]

    @app.get("/docs", include_in_schema=False)
    async def get_docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon.png",
        )

    @app.exception_handler(Refused)
    async def answer_refused(request: Request, refused: Refused) -> Response:
        return answer_problem(refused)

    @app.exception_handler(Unavailable)
    async def answer_unavailable(request: Request, error: Unavailable) -> Response:
        log.warning("Postgres does not answer", reason=str(error), path=request.url.path)
        headers = {"Retry-After": RETRY_AFTER_S}
        return answer_problem(Refused("unavailable", "The database does not answer. Ask again soon.", headers=headers))

    @app.exception_handler(RequestValidationError)
    async def answer_invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [
            ParameterError(parameter=".".join(str(step) for step in entry["loc"][1:]), detail=entry["msg"])
            for entry in error.errors()
        ]
        detail = "; ".join(f"{entry.parameter}: {entry.detail}" for entry in errors)
        return answer_problem(Refused("invalid-parameter", detail, errors=errors))

    @app.exception_handler(HTTPException)
    async def answer_http_error(request: Request, error: HTTPException) -> Response:
        problem = "method-not-allowed" if error.status_code == 405 else "not-found"
        detail = f"{request.method} {request.url.path}: the API is described at /docs"
        return answer_problem(Refused(problem, detail, headers=dict(error.headers or {})))

    @app.exception_handler(Exception)
    async def answer_defect(request: Request, error: Exception) -> Response:
        return answer_problem(Refused("internal", "It has been logged."))  # by the server, to which it goes on

    if open_routes := find_open_routes(app):
        raise RuntimeError(f"routes without a policy: {open_routes}")
    return app


def find_open_routes(app: FastAPI) -> list[str]:
    """Paths that anybody could ask for, apart from PUBLIC ones."""
    return [
        str(route.path)
        for route in iter_route_contexts(app.routes)
        if route.path not in PUBLIC
        and not POLICIES.intersection(
            dependency.call for dependency in getattr(getattr(route.route, "dependant", None), "dependencies", ())
        )
    ]


def answer_problem(refused: Refused) -> Response:
    REFUSED.labels(refused.problem).inc()
    body = refused.body.model_dump_json(exclude_none=True)
    return Response(body, refused.status, refused.headers, media_type="application/problem+json")


def describe(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1, with the problems that every endpoint may answer."""
    description = get_openapi(
        title=app.title,
        version=app.version,
        description="Credits are decimal strings with six places. Dates are days of the organization's time zone.",
        routes=app.routes,
    )
    reference = "#/components/schemas/"
    problem = Problem.model_json_schema(ref_template=reference + "{model}")
    description["components"]["schemas"] |= problem.pop("$defs") | {"Problem": problem}
    for path in description["paths"].values():
        for operation in path.values():
            for status in sorted({status for status, _ in TITLES.values()} - {405}):
                if status not in (404, 422) or operation.get("parameters"):
                    operation["responses"][str(status)] = describe_problem(status)
    return description


def describe_problem(status: int) -> dict[str, Any]:
    types = [f"`{BASE}{name}`: {title}." for name, (its_status, title) in TITLES.items() if its_status == status]
    names = {401: ["WWW-Authenticate"], 503: ["Retry-After"]}.get(status, [])
    return {
        "description": f"{HTTPStatus(status).phrase}. {' '.join(types)}",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    } | ({"headers": {name: {"schema": {"type": "string"}} for name in names}} if names else {})


class Observed:
    """Measures every request, and tells browsers to keep nothing and to guess nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *HEADERS.items()]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            REQUEST_SECONDS.labels(route, status).observe(time.perf_counter() - began)
