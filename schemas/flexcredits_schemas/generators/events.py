"""Writes events.py from ../events/*.json: `python -m flexcredits_schemas.generators.events`.

It supports only the JSON Schema keywords that our schemas use and refuses others, so that the generated types and the codec
check everything that a schema states.
"""

import json
import sys
from pathlib import Path
from typing import Any

from flexcredits_schemas import SCHEMAS

TARGET = Path(__file__).parents[1] / "events.py"
HEADER = '''"""GENERATED from ../events/*.json by `python -m flexcredits_schemas.generators.events`. Do not edit."""

from datetime import date, datetime
from typing import Annotated, Literal, get_args

from msgspec import Meta, Raw, Struct, field

'''
# The codec refuses control characters for the whole message at once, which is cheaper than a pattern per field.
NO_CONTROL_CHARACTERS = "^[^\\u0000-\\u001f\\u007f]+$"
CHECKED_BY_CODEC = (
    "JsonMediaType",
)  # the codec skips the pattern for `application/json`, which nearly all events have


def scalar(schema: dict[str, Any]) -> str:
    """Python type of a schema without fields. Decimals stay raw JSON text; the codec parses them exactly."""
    if schema.get("format") == "decimal":
        return "Raw"
    if "const" in schema:
        return f"Literal[{json.dumps(schema['const'])}]"
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]"
    match schema:
        case {"type": "boolean"}:
            return "bool"
        case {"type": "string", "format": "date"}:
            return "date"
        case {"type": "string", "format": "date-time"}:
            return "Annotated[datetime, Meta(tz=True)]"
        case {"type": "string"}:
            limits = [f"min_length={schema['minLength']}"] if "minLength" in schema else []
            limits += [f"max_length={schema['maxLength']}"] if "maxLength" in schema else []
            is_checked_here = schema.get("title") not in CHECKED_BY_CODEC
            if is_checked_here and schema.get("pattern", NO_CONTROL_CHARACTERS) != NO_CONTROL_CHARACTERS:
                limits.append(f"pattern={json.dumps(schema['pattern'])}")
            return f"Annotated[str, Meta({', '.join(limits)})]" if limits else "str"
    raise ValueError(f"no Python type for {schema}")


def python_type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if schema.get("type") == "array":
        limits = [
            f"{ours}={schema[word]}"
            for word, ours in (("minItems", "min_length"), ("maxItems", "max_length"))
            if word in schema
        ]
        return f"Annotated[list[{python_type(schema['items'])}], Meta({', '.join(limits)})]"
    if schema.get("type") == "object":
        limits = [
            f"{ours}={schema[word]}"
            for word, ours in (("minProperties", "min_length"), ("maxProperties", "max_length"))
            if word in schema
        ]
        key, value = python_type(schema["propertyNames"]), python_type(schema["additionalProperties"])
        return f"Annotated[dict[{key}, {value}], Meta({', '.join(limits)})]"
    return scalar(schema)


def struct(schema: dict[str, Any], options: str) -> str:
    """Source of one msgspec Struct; `options` are its class arguments."""
    lines = [f"class {schema['title']}(Struct, {options}):", f'    """{schema["description"]}"""', ""]
    for name, value in schema["properties"].items():
        if name == "type":
            continue  # the tag
        kind, default = python_type(value), ""
        attribute, rename = (f"{name}_", f'name="{name}"') if name == "from" else (name, "")
        if name not in schema.get("required", []):
            if "default" in value:
                default = repr(value["default"])
            elif kind in ("Raw", "Amount", "PositiveDecimal", "SignedDecimal"):
                default = "Raw()"
            else:
                kind, default = f"{kind} | None", "None"
        given = [part for part in (f"default={default}" if rename and default else default, rename) if part]
        value_source = f"field({', '.join(given)})" if rename else default
        lines.append(f"    {attribute}: {kind}" + (f" = {value_source}" if value_source else ""))
    return "\n".join(lines)


def generate() -> str:
    files = {path.name: json.loads(path.read_text()) for path in sorted((SCHEMAS / "events").glob("*.json"))}
    common = files.pop("common.json")
    parts = ["\n".join(f"{name} = {scalar(schema)}" for name, schema in common["$defs"].items())]
    parts[0] += "\nPRODUCTS: tuple[Product, ...] = get_args(Product)"
    events = []
    for schema in files.values():
        for name, definition in schema["$defs"].items():
            source = struct(definition, "forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False")
            if not any(f"class {name}(" in part for part in parts):
                parts.append(source)
            elif source not in parts:
                raise ValueError(f"two schemas define {name} differently")
        tag = schema["properties"]["type"]["const"]
        options = f'tag_field="type", tag="{tag}", omit_defaults=True, kw_only=True, gc=False'
        parts.append(struct(schema, options))
        events.append(schema["title"])
    parts.append(f"Event = {' | '.join(sorted(events))}")
    return HEADER + "\n\n\n".join(parts) + "\n"


def main() -> None:
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(generate())
    elif TARGET.read_text() != generate():
        sys.exit("events.py differs from ../events/*.json: run python -m flexcredits_schemas.generators.events")


if __name__ == "__main__":
    main()
