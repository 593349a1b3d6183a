"""Attributes of OTLP as JSON values, from protobuf messages and from JSON. Pure.

Prompts, answers and files are left out: nothing of usage is read from them, and they must not reach a dead letter.
"""

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

TEXT_MAX = 1000
"""Longer text is content, not a name or an id."""
DEPTH_MAX = 4
CONTENT = (
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.",
    "llm.input_messages",
    "llm.output_messages",
    "llm.prompts",
    "input.value",
    "output.value",
    "ai.prompt",
    "ai.response.text",
    "traceloop.entity.input",
    "traceloop.entity.output",
)
"""Attributes that contain what people wrote or models answered begin with one of these, or have one of CONTENT_NAMES."""
CONTENT_NAMES = frozenset(("prompt", "prompt_text", "request_text", "response", "response_text"))

Scalar = str | bool | int | Decimal
Value = Scalar | dict[str, Any]


def exact(number: float) -> Decimal | None:
    """The shortest decimal that reads as this double; None for infinity and NaN."""
    return Decimal(repr(number)) if math.isfinite(number) else None


def protobuf_attributes(pairs: Iterable[Any], depth: int = 1) -> dict[str, Value]:
    """The attributes of `KeyValue` messages by name. Arrays, bytes, empty values, content and what is nested deeper
    than DEPTH_MAX are left out; the last value of a name counts."""
    attributes: dict[str, Value] = {}
    for pair in pairs:
        name = pair.key
        if name in CONTENT_NAMES or name.startswith(CONTENT):
            continue
        value = protobuf_value(pair.value, depth)
        if value is not None:
            attributes[name] = value
    return attributes


def protobuf_value(value: Any, depth: int = 0) -> Value | None:
    """The JSON value of an `AnyValue` message, or None if it is left out."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        text: str = value.string_value
        return text if len(text) <= TEXT_MAX else None
    if kind == "int_value":
        return int(value.int_value)
    if kind == "bool_value":
        return bool(value.bool_value)
    if kind == "double_value":
        return exact(value.double_value)
    if kind == "kvlist_value" and depth < DEPTH_MAX:
        return protobuf_attributes(value.kvlist_value.values, depth + 1)
    return None


def json_attributes(pairs: Iterable[Any] | None, depth: int = 1) -> dict[str, Value]:
    """The same of `KeyValue` in JSON."""
    attributes: dict[str, Value] = {}
    for pair in pairs or ():
        name = pair.key or ""
        if pair.value is None or name in CONTENT_NAMES or name.startswith(CONTENT):
            continue
        value = json_value(pair.value, depth)
        if value is not None:
            attributes[name] = value
    return attributes


def json_value(value: Any, depth: int = 0) -> Value | None:
    """The JSON value of an `AnyValue` in JSON, or None if it is left out."""
    if value.string_value is not None:
        text: str = value.string_value
        return text if len(text) <= TEXT_MAX else None
    for scalar in (value.int_value, value.bool_value):
        if scalar is not None:
            return scalar  # type: ignore[no-any-return]
    if value.double_value is not None:
        return exact(value.double_value)
    if value.kvlist_value is not None and depth < DEPTH_MAX:
        return json_attributes(value.kvlist_value.values, depth + 1)
    return None
