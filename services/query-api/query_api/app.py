"""The HTTP application around the endpoints: problems for errors, the API's description, headers and measurements."""

import time
from base64 import b64encode
from hashlib import sha256
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

from query_api import alerts, api, audit_log, contracts, exports, live, pages, proof, receipts, sign_in, tables, trends
from query_api.answers import BASE, TITLES, ParameterError, Problem, Refused
from query_api.audit import ORIGIN, origin_of
from query_api.conditional import Conditional, NotModified
from query_api.examples import ANSWERS, PARAMETERS
from query_api.metrics import REFUSED, REQUEST_SECONDS
from query_api.policies import POLICIES, Parts
from query_api.store import Unavailable

log = structlog.get_logger()

RETRY_AFTER_S = "2"
PUBLIC = frozenset({"/openapi.json", "/docs", "/docs/assets", "/login", "/login/callback", "/logout"}) | pages.PATHS
"""The only routes without a policy: they describe the API or are the dashboard's own files, which hold nobody's data, or
lead into and out of a session."""

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
}
NOTHING = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""What an answer that is no page may load."""
DOCS_POLICY = (
    "default-src 'none'; script-src 'self' '{script}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


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
    app.include_router(tables.router)
    app.include_router(trends.router)
    app.include_router(contracts.router)
    app.include_router(proof.router)
    app.include_router(receipts.router)
    app.include_router(audit_log.router)
    app.include_router(sign_in.router)
    app.include_router(live.router)
    app.include_router(exports.router)
    app.include_router(pages.router)
    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_offline", "static")]))
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    app.add_middleware(Conditional)

    @app.get("/docs", include_in_schema=False)
    async def get_docs() -> Response:
        answer = get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon.png",
        )
        script = bytes(answer.body).partition(b"<script>")[2].partition(b"</script>")[0]
        source = f"sha256-{b64encode(sha256(script).digest()).decode()}"
        answer.headers["Content-Security-Policy"] = DOCS_POLICY.format(script=source)
        return answer

    @app.exception_handler(NotModified)
    async def answer_not_modified(request: Request, same: NotModified) -> Response:
        return Response(status_code=304, headers=same.headers)

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
        if error.status_code == 404 and pages.is_navigation(request):
            return pages.answer_page(request, 404)
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
    for name, path in description["paths"].items():
        for method, operation in path.items():
            for status in sorted({status for status, _ in TITLES.values()} - {405}):
                if status not in (404, 422) or operation.get("parameters") or name in PUBLIC:
                    operation["responses"][str(status)] = describe_problem(status)
            for parameter in operation.get("parameters", ()):
                own = parameter["schema"].get("examples")
                parameter["example"] = own[0] if own else PARAMETERS.get(parameter["name"])
            if method == "get" and "application/json" in operation["responses"].get("200", {}).get("content", {}):
                describe_tag(operation, ANSWERS.get(name))
    return description


def describe_tag(operation: dict[str, Any], example: dict[str, Any] | None) -> None:
    """An example of the answer, and that a client that has it need not get it again."""
    answer = operation["responses"]["200"]
    answer["content"]["application/json"]["example"] = example
    answer["headers"] = {
        "ETag": {"schema": {"type": "string"}, "description": "Give it as If-None-Match to ask again."}
    }
    operation["responses"]["304"] = {"description": "Not Modified. The answer is the one that If-None-Match names."}


def describe_problem(status: int) -> dict[str, Any]:
    types = [f"`{BASE}{name}`: {title}." for name, (its_status, title) in TITLES.items() if its_status == status]
    names = {401: ["WWW-Authenticate"], 503: ["Retry-After"]}.get(status, [])
    example = next(
        Refused(name, "What is wrong, for people.") for name, (its_status, _) in TITLES.items() if its_status == status
    )
    content = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "example": example.body.model_dump(exclude_none=True),
    }
    return {
        "description": f"{HTTPStatus(status).phrase}. {' '.join(types)}",
        "content": {"application/problem+json": content},
    } | ({"headers": {name: {"schema": {"type": "string"}} for name in names}} if names else {})


class Observed:
    """Measures every request, and tells browsers to guess nothing, and to keep nothing but what they must ask for again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

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
                defaults = {b"cache-control": b"no-store", b"content-security-policy": NOTHING}
                missing = [(name, value) for name, value in defaults.items() if name not in given]
                message["headers"] = [*message.get("headers", ()), *HEADERS.items(), *missing]
                message["headers"].append((b"x-request-id", origin.request_id.encode()))
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            REQUEST_SECONDS.labels(route, status).observe(time.perf_counter() - began)
