"""The description of our HTTP interface: `python -m ingest.openapi` writes schemas/http/ingest-api.json, --check compares."""

import json
import re
import sys
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from flexcredits_schemas import SCHEMAS
from runtime.problems import MEDIA_TYPE, describe_problems

from ingest.answers import TITLES, Problem, Receipt

TARGET = SCHEMAS / "http" / "ingest-api.json"
REF = "#/components/schemas/"
EVENT, BATCH = {"$ref": f"{REF}Event"}, {"$ref": f"{REF}Events"}
# One media type for the operation: with several, openapi-python-client 0.29 makes a client whose every call raises, and
# other generators choose one of them. The operation's text names the others.
CONTENT_TYPE = "application/cloudevents-batch+json"
HEADERS = {
    401: {"WWW-Authenticate": "The scheme to use."},
    415: {"Accept": "The content types that are read here.", "Accept-Encoding": "gzip, if the encoding was wrong."},
    429: {"Retry-After": "Seconds.", "RateLimit": "draft-ietf-httpapi-ratelimit-headers-11.", "RateLimit-Policy": ""},
    503: {"Retry-After": "Seconds."},
}


def problem_response(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": describe_problems(TITLES, status),
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"{REF}Problem"}}},
    }
    if status in HEADERS:
        response["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in HEADERS[status].items()
        }
    return response


EVENTS_OPERATION: dict[str, Any] = {
    "operation_id": "post_events",
    "summary": "Report events",
    "status_code": 202,
    "response_model": None,
    "responses": {
        202: {
            "description": "Every accepted event is durable.",
            "content": {"application/json": {"schema": {"$ref": f"{REF}Receipt"}}},
        },
        **{
            status: problem_response(status)
            for status in sorted({status for status, _ in TITLES.values()} - {404, 405})
        },
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
            "content": {CONTENT_TYPE: {"schema": BATCH}},
        },
    },
}
"""Arguments of the route, beside its function."""


def describe(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1 of the application, with the events as schemas/events describes them."""
    description = get_openapi(title=app.title, version=app.version, openapi_version="3.1.0", routes=app.routes)
    _, answers = msgspec.json.schema_components((Receipt, Problem), ref_template=REF + "{name}")
    description["components"] = {
        "schemas": {**event_schemas(), **answers},
        "securitySchemes": {
            "api_key": {"type": "http", "scheme": "bearer", "bearerFormat": "fc_<environment>_<id>_<secret>_<checksum>"}
        },
    }
    return description


def event_schemas() -> dict[str, Any]:
    """Components of schemas/events/*.json. Their $defs have one meaning per name, which the generator checks."""
    schemas: dict[str, Any] = {}
    types: dict[str, str] = {}
    for path in sorted((SCHEMAS / "events").glob("*.json")):
        schema = json.loads(path.read_text().replace("common.json#/$defs/", REF).replace("#/$defs/", REF))
        for word in ("$schema", "$id"):
            schema.pop(word)
        schemas.update(schema.pop("$defs"))
        if path.name != "common.json":
            schemas[schema["title"]] = schema
            types[schema["properties"]["type"]["const"]] = REF + schema["title"]
    for name, schema in schemas.items():
        if "enum" in schema:
            # Go has one namespace for the constants of a package: AgentKind and AgentState both have `saved`.
            prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()
            schema["x-enum-varnames"] = [f"{prefix}_{value.upper()}" for value in schema["enum"]]
    schemas["Event"] = {
        "title": "Event",
        "oneOf": [{"$ref": reference} for reference in types.values()],
        "discriminator": {"propertyName": "type", "mapping": types},
    }
    schemas["Events"] = {"title": "Events", "type": "array", "items": EVENT}
    return schemas


def main() -> None:
    from ingest.api import build_app  # it takes the route's description from here

    text = json.dumps(describe(build_app(None)), indent=2) + "\n"  # type: ignore[arg-type]
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text)
    elif TARGET.read_text() != text:
        sys.exit(f"{TARGET.name} differs from the code: run python -m ingest.openapi")


if __name__ == "__main__":
    main()
