"""The JSON Schemas of events, to compare their verdict with the codec's."""

import json
from typing import Any

import jsonschema_rs
from flexcredits_schemas import SCHEMAS
from flexcredits_schemas.codec import InvalidEvent, decode

FILES = {path.name: json.loads(path.read_text()) for path in (SCHEMAS / "events").glob("*.json")}
EVENTS = {schema["properties"]["type"]["const"]: schema for name, schema in FILES.items() if name != "common.json"}


def retrieve(uri: str) -> Any:
    return FILES[uri.rsplit("/", 1)[-1]]


VALIDATORS = {
    type_: jsonschema_rs.Draft202012Validator(schema, retriever=retrieve, validate_formats=True)
    for type_, schema in EVENTS.items()
}


def accepts(document: dict[str, Any]) -> bool:
    try:
        decode(json.dumps(document).encode())
    except InvalidEvent:
        return False
    return True
