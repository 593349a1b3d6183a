"""The OpenAPI description: `python -m ingest.openapi` writes schemas/http/ingest-api.json, and --check compares it."""

import json
import re
import sys
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from flexcredits_schemas import SCHEMAS

from ingest.adapters.table import adapters
from ingest.api import build_app
from ingest.http.operation import REF
from ingest.http.responses import Problem, Receipt

TARGET = SCHEMAS / "http" / "ingest-api.json"


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 description of the application, with the event schemas of schemas/events."""
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
    """Components from schemas/events/*.json. Each name in their $defs has one meaning, which the generator checks."""
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
            # Go has one namespace for the constants of a package, and AgentKind and AgentState both have `saved`.
            prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()
            schema["x-enum-varnames"] = [f"{prefix}_{value.upper()}" for value in schema["enum"]]
    schemas["Event"] = {
        "title": "Event",
        "oneOf": [{"$ref": reference} for reference in types.values()],
        "discriminator": {"propertyName": "type", "mapping": types},
    }
    schemas["Events"] = {"title": "Events", "type": "array", "items": {"$ref": f"{REF}Event"}}
    return schemas


def main() -> None:
    text = json.dumps(describe(build_app(None, adapters(1, 1))), indent=2) + "\n"  # type: ignore[arg-type]
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text)
    elif TARGET.read_text() != text:
        sys.exit(f"{TARGET.name} differs from the code: run python -m ingest.openapi")


if __name__ == "__main__":
    main()
