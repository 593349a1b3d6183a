"""Converts validation errors of FastAPI to errors of a problem response. Pure."""

from collections.abc import Mapping
from typing import Any

from query_api.http.problems import ParameterError


def read_mistake(entry: Mapping[str, Any]) -> ParameterError:
    """A validation error with the parameter's name, or the JSON pointer into the body (RFC 6901)."""
    where, *steps = (str(step).encode(errors="replace").decode() for step in entry["loc"])
    if where != "body":
        return ParameterError(parameter=".".join(steps), detail=describe_mistake(entry))
    if entry["type"] == "json_invalid":
        return ParameterError(pointer="", detail=f"not valid JSON: {entry['ctx']['error']}")
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
    return ParameterError(pointer=pointer, detail=describe_mistake(entry))


def describe_mistake(entry: Mapping[str, Any]) -> str:
    """Pydantic's message, reworded as what the value must be. It names the allowed values."""
    if entry["type"] == "extra_forbidden":
        return "is unknown; see /docs for the allowed names"
    return str(entry["msg"]).replace("Input should be", "must be").replace("Field required", "is required")
