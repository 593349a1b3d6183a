"""The OpenAPI description of POST /api/v1/events, for the route."""

from typing import Any

from runtime.http.problems import MEDIA_TYPE, describe_problems

from ingest.http.responses import PROBLEM_TYPES

REF = "#/components/schemas/"
# The operation has one media type: with several, openapi-python-client 0.29 generates a client whose every call raises,
# and other generators choose one of them. The text of the operation names the others.
CONTENT_TYPE = "application/cloudevents-batch+json"
HEADERS = {
    401: {"WWW-Authenticate": "The scheme to use."},
    415: {"Accept": "The content types that are read here.", "Accept-Encoding": "gzip, if the encoding was wrong."},
    429: {"Retry-After": "Seconds.", "RateLimit": "draft-ietf-httpapi-ratelimit-headers-11.", "RateLimit-Policy": ""},
    503: {"Retry-After": "Seconds."},
}


def problem_response(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": describe_problems(PROBLEM_TYPES, status),
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"{REF}Problem"}}},
    }
    if status in HEADERS:
        response["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in HEADERS[status].items()
        }
    return response


PROBLEM_STATUSES = sorted({status for status, _ in PROBLEM_TYPES.values()} - {404, 405})
DESCRIPTION = """\
Report usage, corrections and catalog events as CloudEvents 1.0 in JSON.

A batch is described here, as `application/cloudevents-batch+json`. One event as `application/cloudevents+json`, either of
them as `application/json`, and binary mode (attributes in `ce-` headers, the data as the body) are taken too.
The answer comes once every accepted event is on all in-sync replicas. A copy of an event with the same subject,
source and id is never counted twice, so after a 503, or without an answer, send the whole request again."""


EVENTS_OPERATION: dict[str, Any] = {
    "operation_id": "post_events",
    "summary": "Report events",
    "description": DESCRIPTION,
    "status_code": 202,
    "response_model": None,
    "responses": {
        202: {
            "description": "Every accepted event is durable.",
            "content": {"application/json": {"schema": {"$ref": f"{REF}Receipt"}}},
        },
        **{status: problem_response(status) for status in PROBLEM_STATUSES},
    },
    "openapi_extra": {
        "security": [{"api_key": []}],
        "parameters": [
            {
                "name": "Content-Encoding",
                "in": "header",
                "required": False,
                "schema": {"enum": ["gzip", "identity"]},
                "description": "The limits hold for the body as sent and as inflated.",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {CONTENT_TYPE: {"schema": {"$ref": f"{REF}Events"}}},
        },
    },
}
"""Arguments of the route besides its function."""


def foreign_operation(operation_id: str, summary: str, description: str, status: int, answer: str) -> dict[str, Any]:
    """Arguments of the route for a foreign client, whose requests are described by its own project."""
    return {
        "operation_id": operation_id,
        "summary": summary,
        "description": description,
        "status_code": status,
        "response_model": None,
        "responses": {
            status: {"description": answer},
            **{problem: problem_response(problem) for problem in PROBLEM_STATUSES},
        },
        "openapi_extra": {"security": [{"api_key": []}]},
    }
