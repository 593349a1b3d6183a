"""OpenAPI 3.1 of the query API, with the problems and examples of every route."""

from collections.abc import Collection
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from runtime.http.problems import MEDIA_TYPE, describe_problems

from query_api.description.examples import ANSWERS, BODIES, PARAMETERS
from query_api.description.topics import tag
from query_api.http.problems import TYPES, ApiProblem, Problem

EVERYWHERE = {401, 403, 500, 503}
"""Problem statuses of all routes. 404 and 422 apply only to routes with parameters or a body."""


def describe(app: FastAPI, public: Collection[str]) -> dict[str, Any]:
    """Generate the OpenAPI description. `public` are paths that need no credentials."""
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
            for status in sorted(EVERYWHERE | own | ({404, 422} if asks or name in public else set())):
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
    """Add the example response and, for GET, the ETag header and 304."""
    for status in ("200", "201", "202"):
        answer = operation["responses"].get(status, {})
        if "application/json" not in answer.get("content", {}):
            continue
        answer["content"]["application/json"]["example"] = example
        if method == "get" and "headers" not in answer:
            tag = "Pass it as If-None-Match in the next request."
            answer["headers"] = {"ETag": {"schema": {"type": "string"}, "description": tag}}
            operation["responses"]["304"] = {
                "description": "Not Modified: the response is the same as the one with this ETag."
            }


def describe_problem(status: int) -> dict[str, Any]:
    names = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, [])
    example = next(
        ApiProblem(name, "What is wrong, for people.") for name, kind in TYPES.items() if kind.status == status
    )
    content = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "example": example.body.model_dump(exclude_none=True),
    }
    return {
        "description": describe_problems(TYPES, status),
        "content": {MEDIA_TYPE: content},
    } | ({"headers": {name: {"schema": {"type": "string"}} for name in names}} if names else {})
