"""Error handlers: map exceptions of routes to problem responses, or to the dashboard page for browsers."""

from math import ceil

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from flexcredits_schemas.unsubscribe import InvalidToken
from starlette.exceptions import HTTPException

from query_api.alerts.unsubscribe.routes import answer_invalid_link
from query_api.db.session import Busy, Unavailable
from query_api.http.etags import NotModified
from query_api.http.problems import ApiProblem, ParameterError, answer_problem
from query_api.http.validation import read_mistake
from query_api.web.routes import answer_page, is_navigation

log = structlog.get_logger()

RETRY_AFTER_S = 2
RETRY_AFTER_MAX_S = 60


def add_error_handlers(api: FastAPI) -> None:
    api.add_exception_handler(InvalidToken, answer_invalid_link)

    @api.exception_handler(NotModified)
    async def answer_not_modified(request: Request, same: NotModified) -> Response:
        return Response(status_code=304, headers=same.headers)

    @api.exception_handler(ApiProblem)
    async def answer_refused(request: Request, refused: ApiProblem) -> Response:
        return answer_problem(refused)

    @api.exception_handler(Unavailable)
    async def answer_unavailable(request: Request, error: Unavailable) -> Response:
        if isinstance(error, Busy):
            log.warning("busy", reason=str(error), path=request.url.path)
            retry_after_s = min(max(RETRY_AFTER_S, ceil(error.retry_after_s)), RETRY_AFTER_MAX_S)
            problem = ApiProblem(
                "busy", "The database is busy. Try again in a moment.", headers={"Retry-After": str(retry_after_s)}
            )
        else:
            log.warning("Postgres is unavailable", reason=str(error), path=request.url.path)
            detail = "The database isn't responding. Try again in a moment."
            problem = ApiProblem("unavailable", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
        return answer_problem(problem)

    @api.exception_handler(RequestValidationError)
    async def answer_invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [read_mistake(entry) for entry in error.errors()]
        detail = "; ".join(f"{entry.parameter or entry.pointer or 'the body'}: {entry.detail}" for entry in errors)
        return answer_problem(ApiProblem("invalid-parameter", detail, errors=errors))

    @api.exception_handler(HTTPException)
    async def answer_http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404 and is_navigation(request):
            return answer_page(request, 404)
        if error.status_code == 400:  # FastAPI's message for a body that is not text or nested too deeply
            unread = ParameterError(pointer="", detail="cannot be read as JSON")
            return answer_problem(ApiProblem("invalid-parameter", f"the body: {unread.detail}", errors=[unread]))
        problem = "method-not-allowed" if error.status_code == 405 else "not-found"
        detail = f"{request.method} {request.url.path}: the API is described at /docs"
        return answer_problem(ApiProblem(problem, detail, headers=dict(error.headers or {})))

    @api.exception_handler(Exception)
    async def answer_defect(request: Request, error: Exception) -> Response:
        # Starlette raises the exception again after this response, and the server logs it.
        return answer_problem(ApiProblem("internal", "The error has been logged. Try again in a moment."))
