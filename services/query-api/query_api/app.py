"""The HTTP application around the endpoints: problems for errors, the API's description, headers and measurements."""

import time
from base64 import b64encode
from hashlib import sha256
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from fastapi.staticfiles import StaticFiles
from flexcredits_schemas.unsubscribe import InvalidToken
from runtime.problems import MEDIA_TYPE, describe_problems
from runtime.tracing import TRACEPARENT, PassOn, Tracing
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from query_api.access.audit import ORIGIN, origin_of
from query_api.access.audit_log import routes as audit_log
from query_api.access.dependencies import POLICIES, Parts
from query_api.access.sign_in import routes as sign_in
from query_api.alerts import routes as alerts
from query_api.alerts.channels import routes as alert_channels
from query_api.alerts.emails import routes as alert_emails
from query_api.alerts.settings import routes as alert_settings
from query_api.alerts.unsubscribe import routes as unsubscribe
from query_api.contracts import range as api
from query_api.contracts import routes as contracts
from query_api.db.session import Busy, Unavailable
from query_api.exports import routes as exports
from query_api.http.body_limit import SmallBodies
from query_api.http.etags import Conditional, NotModified
from query_api.http.fields import TITLES, ParameterError, Problem, Refused
from query_api.http.validation import read_mistake
from query_api.ledger.proof import routes as proof
from query_api.ledger.receipt import routes as receipt
from query_api.live import routes as live
from query_api.metrics import REFUSED, REQUEST_SECONDS
from query_api.openapi.examples import ANSWERS, BODIES, PARAMETERS
from query_api.openapi.topics import tag, with_ingest
from query_api.usage.breakdown import routes as breakdown
from query_api.usage.trend import routes as trend
from query_api.web import routes as web

log = structlog.get_logger()

RETRY_AFTER_S = "2"
DOCS = frozenset({"/openapi.json", "/docs", "/docs/openapi.json", "/docs/assets"})
PUBLIC = DOCS | {"/login", "/login/callback", "/logout"} | web.PATHS
"""The only routes without a policy: they describe the API or are the dashboard's own files, which hold nobody's data, or
lead into and out of a session."""

EVERYWHERE = {401, 403, 500, 503}
"""Statuses of the problems that every route may answer. 404 and 422 are for those that ask for something."""

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
    app.include_router(alert_settings.router)  # its paths and the next one's come before /alerts/{id}
    app.include_router(alert_emails.router)
    app.include_router(alert_channels.router)
    app.include_router(alerts.router)
    app.include_router(unsubscribe.router)
    app.include_router(breakdown.router)
    app.include_router(trend.router)
    app.include_router(contracts.router)
    app.include_router(proof.router)
    app.include_router(receipt.router)
    app.include_router(audit_log.router)
    app.include_router(sign_in.router)
    app.include_router(live.router)
    app.include_router(exports.router)
    app.include_router(web.router)
    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_offline", "static")]))
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    app.add_middleware(Conditional)
    app.add_middleware(SmallBodies, answer=answer_problem)

    @app.get("/docs", include_in_schema=False)
    async def get_docs() -> Response:
        answer = get_swagger_ui_html(
            openapi_url="/docs/openapi.json",
            title="FlexCredits API",
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon.png",
        )
        script = bytes(answer.body).partition(b"<script>")[2].partition(b"</script>")[0]
        source = f"sha256-{b64encode(sha256(script).digest()).decode()}"
        answer.headers["Content-Security-Policy"] = DOCS_POLICY.format(script=source)
        return answer

    @app.get("/docs/openapi.json", include_in_schema=False)
    async def get_both_descriptions() -> dict[str, Any]:
        return with_ingest(app.openapi())

    @app.exception_handler(NotModified)
    async def answer_not_modified(request: Request, same: NotModified) -> Response:
        return Response(status_code=304, headers=same.headers)

    @app.exception_handler(Refused)
    async def answer_refused(request: Request, refused: Refused) -> Response:
        return answer_problem(refused)

    app.add_exception_handler(InvalidToken, unsubscribe.answer_invalid_link)

    @app.exception_handler(Unavailable)
    async def answer_unavailable(request: Request, error: Unavailable) -> Response:
        is_busy = isinstance(error, Busy)
        log.warning("busy" if is_busy else "Postgres does not answer", reason=str(error), path=request.url.path)
        what = "is busy" if is_busy else "isn't responding"
        detail = f"The database {what}. Try again in a moment."
        return answer_problem(Refused("unavailable", detail, headers={"Retry-After": RETRY_AFTER_S}))

    @app.exception_handler(RequestValidationError)
    async def answer_invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [read_mistake(entry) for entry in error.errors()]
        detail = "; ".join(f"{entry.parameter or entry.pointer or 'the body'}: {entry.detail}" for entry in errors)
        return answer_problem(Refused("invalid-parameter", detail, errors=errors))

    @app.exception_handler(HTTPException)
    async def answer_http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404 and web.is_navigation(request):
            return web.answer_page(request, 404)
        if error.status_code == 400:  # what FastAPI says of a body that is not even text, or nested too deeply
            unread = ParameterError(pointer="", detail="cannot be read as JSON")
            return answer_problem(Refused("invalid-parameter", f"the body: {unread.detail}", errors=[unread]))
        problem = "method-not-allowed" if error.status_code == 405 else "not-found"
        detail = f"{request.method} {request.url.path}: the API is described at /docs"
        return answer_problem(Refused(problem, detail, headers=dict(error.headers or {})))

    @app.exception_handler(Exception)
    async def answer_defect(request: Request, error: Exception) -> Response:
        return answer_problem(
            Refused("internal", "The error has been logged. Try again in a moment.")
        )  # by the server, to which it goes on

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
    return Response(body, refused.status, refused.headers, media_type=MEDIA_TYPE)


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
            asks = operation.get("parameters") or operation.get("requestBody")
            own = {int(status) for status in operation["responses"] if int(status) >= 400}
            for status in sorted(EVERYWHERE | own | ({404, 422} if asks or name in PUBLIC else set())):
                operation["responses"][str(status)] = describe_problem(status)
            if "requestBody" in operation:
                operation["responses"] |= {str(status): describe_problem(status) for status in (408, 413)}
                operation["requestBody"]["content"]["application/json"]["example"] = BODIES[name]
            for parameter in operation.get("parameters", ()):
                examples = parameter["schema"].get("examples")
                parameter["example"] = examples[0] if examples else PARAMETERS.get(parameter["name"])
            describe_answer(method, operation, ANSWERS.get(f"{method.upper()} {name}", ANSWERS.get(name)))
    tag(description)
    return description


def describe_answer(method: str, operation: dict[str, Any], example: dict[str, Any] | None) -> None:
    """An example of the answer, and that a client that has it need not get it again."""
    for status in ("200", "201", "202"):
        answer = operation["responses"].get(status, {})
        if "application/json" not in answer.get("content", {}):
            continue
        answer["content"]["application/json"]["example"] = example
        if method == "get" and "headers" not in answer:
            tag = "Give it as If-None-Match to ask again."
            answer["headers"] = {"ETag": {"schema": {"type": "string"}, "description": tag}}
            operation["responses"]["304"] = {
                "description": "Not Modified. The answer is the one that If-None-Match names."
            }


def describe_problem(status: int) -> dict[str, Any]:
    names = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, [])
    example = next(
        Refused(name, "What is wrong, for people.") for name, kind in TITLES.items() if kind.status == status
    )
    content = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "example": example.body.model_dump(exclude_none=True),
    }
    return {
        "description": describe_problems(TITLES, status),
        "content": {MEDIA_TYPE: content},
    } | ({"headers": {name: {"schema": {"type": "string"}} for name in names}} if names else {})


class Observed:
    """Measures and traces every request, and tells browsers to guess nothing, and to keep only what they ask for again."""

    def __init__(self, app: ASGIApp, tracing: Tracing | None = None) -> None:
        self._app = app
        self._tracing = tracing or PassOn()

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
    """The route's template: what people ask for has no bound."""
    return getattr(scope.get("route"), "path", "unmatched")
