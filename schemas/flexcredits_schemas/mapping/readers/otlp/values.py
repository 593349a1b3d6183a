"""Attributes of OTLP as JSON values. Pure.

Prompts, answers and files are left out: nothing of usage is read from them, and they must not reach a dead letter.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from flexcredits_schemas.mapping.readers.otlp.json_form import AnyValue, KeyValue

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPAN_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")
TEMPORALITIES = ("unspecified", "delta", "cumulative")
TEXT_MAX = 1000
"""Longer text is content, not a name or an id."""
DEPTH_MAX = 4
WHOLE_MAX = 2**53
"""Below this, every whole number is a double of its own."""
Scalar = str | bool | int | Decimal
Value = Scalar | dict[str, Any]
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
CONTENT_NAMES = frozenset(("prompt", "prompt_text", "request_text", "response", "response_text"))


def is_content(name: str) -> bool:
    """Whether an attribute of this name contains what people wrote or models answered."""
    return name in CONTENT_NAMES or name.startswith(CONTENT)


def exact(number: float) -> int | Decimal | None:
    """The shortest decimal that reads as this double; None for infinity and NaN."""
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < WHOLE_MAX else Decimal(repr(number))


def attributes_of(pairs: Iterable[KeyValue] | None, depth: int = 1) -> dict[str, Value]:
    """The attributes of `KeyValue` by name. Arrays, bytes, empty values, content and what is nested deeper than DEPTH_MAX
    are left out; the last value of a name counts."""
    attributes: dict[str, Value] = {}
    for pair in pairs or ():
        name = pair.key or ""
        if pair.value is None or is_content(name):
            continue
        value = value_of(pair.value, depth)
        if value is not None:
            attributes[name] = value
    return attributes


def value_of(value: AnyValue, depth: int = 0) -> Value | None:
    """The value of an `AnyValue`, or None if it is left out."""
    if value.string_value is not None:
        text: str = value.string_value
        return text if len(text) <= TEXT_MAX else None
    for scalar in (value.int_value, value.bool_value):
        if scalar is not None:
            return scalar
    if value.double_value is not None:
        return exact(value.double_value)
    if value.kvlist_value is not None and depth < DEPTH_MAX:
        return attributes_of(value.kvlist_value.values, depth + 1)
    return None
