"""Problem responses (RFC 9457), used by all routes."""

from datetime import datetime
from typing import Any

from pydantic import Field
from runtime.http.problems import BASE, MEDIA_TYPE, ProblemError, ProblemType
from starlette.responses import Response

from query_api.http.fields import ResponseBody
from query_api.metrics import REFUSED


class ParameterError(ResponseBody):
    parameter: str | None = None
    pointer: str | None = Field(
        default=None,
        description="JSON pointer into the body (RFC 6901); empty for the whole body.",
        examples=["/usage/thresholds/1"],
    )
    detail: str


class Problem(ResponseBody):
    """RFC 9457."""

    type: str = Field(description="Stable, for programs.", examples=[BASE + "forbidden"])
    title: str
    status: int
    detail: str = Field(description="For people.")
    errors: list[ParameterError] | None = Field(
        default=None, description="For 422: each invalid parameter or place in the body."
    )
    current_version: int | None = Field(default=None, description="For 412: the version that is saved now.")
    updated_by: str | None = Field(default=None, description="For 412: who saved it.")
    updated_at: datetime | None = Field(default=None, description="For 412: when it was saved.")


TYPES = {
    "unauthorized": ProblemType(401, "No valid access token"),
    "forbidden": ProblemType(403, "Not allowed for your role"),
    "cross-site": ProblemType(403, "Request from another site"),
    "people-not-shown": ProblemType(403, "People are not shown"),
    "too-few-people": ProblemType(403, "Too few people"),
    "sign-in-failed": ProblemType(403, "Sign-in failed"),
    "not-found": ProblemType(404, "Not found"),
    "no-credit-period": ProblemType(404, "Credit period not found"),
    "no-such-event": ProblemType(404, "Event not found"),
    "no-such-run": ProblemType(404, "Run not found"),
    "no-such-person": ProblemType(404, "Person not found"),
    "no-such-alert": ProblemType(404, "Alert not found"),
    "no-such-channel": ProblemType(404, "Channel not found"),
    "no-such-key": ProblemType(404, "API key not found"),
    "no-such-export": ProblemType(404, "Export not found"),
    "not-signed": ProblemType(404, "Not signed"),
    "no-such-mapping": ProblemType(404, "Mapping not found"),
    "method-not-allowed": ProblemType(405, "Method not allowed"),
    "too-slow": ProblemType(408, "Request timed out"),
    "another-banner": ProblemType(409, "Banner out of date"),
    "no-address": ProblemType(409, "No email address"),
    "nothing-to-reveal": ProblemType(409, "Nothing to reveal"),
    "nothing-to-resend": ProblemType(409, "Nothing to resend"),
    "lines-not-kept": ProblemType(409, "Lines are no longer kept"),
    "written-differently": ProblemType(409, "This release writes other bytes"),
    "too-many-channels": ProblemType(409, "Too many channels"),
    "channel-stopped": ProblemType(409, "Channel stopped"),
    "changed-meanwhile": ProblemType(412, "Changed by someone else"),
    "too-large": ProblemType(413, "Request too large"),
    "invalid-parameter": ProblemType(422, "Invalid parameter"),
    "too-many-attributions": ProblemType(422, "Too many combinations of labels"),
    "too-long-to-compare": ProblemType(422, "Too long to compare"),
    "precondition-required": ProblemType(428, "Version required"),
    "too-soon": ProblemType(429, "Too many requests"),
    "internal": ProblemType(500, "Internal error"),
    "unavailable": ProblemType(503, "Temporarily unavailable"),
    "busy": ProblemType(503, "Too many requests at once"),
}


class ApiProblem(ProblemError):
    """Makes the request fail with a problem response; `problem` is a key of TYPES."""

    types = TYPES

    @property
    def body(self) -> Problem:
        return Problem(**self.members)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problem statuses of a route besides those of all routes, for OpenAPI; describe.py adds their content."""
    return {status: {} for status in statuses}


def invalid_parameter(parameter: str, detail: str) -> ApiProblem:
    errors = [ParameterError(parameter=parameter, detail=detail)]
    return ApiProblem("invalid-parameter", f"{parameter}: {detail}", errors=errors)


def answer_problem(error: ApiProblem) -> Response:
    REFUSED.labels(error.problem).inc()
    body = error.body.model_dump_json(exclude_none=True)
    return Response(body, error.status, error.headers, media_type=MEDIA_TYPE)
