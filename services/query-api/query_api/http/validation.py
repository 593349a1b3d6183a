"""What is wrong with a request, from what its validation found. Pure."""

from collections.abc import Mapping
from typing import Any

from query_api.http.problems import ParameterError


def read_mistake(entry: Mapping[str, Any]) -> ParameterError:
    """What a validation found, by the parameter's name or the place in the body (RFC 6901)."""
    where, *steps = (str(step).encode(errors="replace").decode() for step in entry["loc"])
    if where != "body":
        return ParameterError(parameter=".".join(steps), detail=say(entry))
    if entry["type"] == "json_invalid":
        return ParameterError(pointer="", detail=f"not valid JSON: {entry['ctx']['error']}")
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
    return ParameterError(pointer=pointer, detail=say(entry))


def say(entry: Mapping[str, Any]) -> str:
    """Pydantic's words about a value as what it must be; it names the allowed ones."""
    if entry["type"] == "extra_forbidden":
        return "is not known here; /docs names what is"
    return str(entry["msg"]).replace("Input should be", "must be").replace("Field required", "is required")
