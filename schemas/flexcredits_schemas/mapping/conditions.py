"""Conditions of a mapping's rules. Pure."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from msgspec import UnsetType

from flexcredits_schemas.mapping.document import Condition, InvalidMapping
from flexcredits_schemas.mapping.sources import MISSING, compile_getter, has_value

Check = Callable[[Any], bool]


def compile_condition(condition: Condition, pointer: str) -> Check:
    """A function that says whether the condition holds for an event. Raises InvalidMapping; `pointer` is the
    condition's place in the document."""
    get = compile_getter(condition.at)
    given = [name for name in ("is_", "in_", "exists") if not isinstance(getattr(condition, name), UnsetType)]
    if len(given) != 1:
        raise InvalidMapping("a condition has exactly one of `is`, `in` and `exists`", pointer)
    if not isinstance(condition.exists, UnsetType):
        exists = condition.exists
        return lambda event: has_value(get(event)) is exists
    constants = [condition.is_] if isinstance(condition.in_, UnsetType) else condition.in_
    wanted = {_comparable(constant, pointer) for constant in constants}
    if len(constants) == 1 and isinstance(text := constants[0], str):
        return lambda event: get(event) == text  # only a text equals a text
    if len(constants) == 1 and (constants[0] is None or isinstance(constants[0], bool)):
        only = constants[0]
        return lambda event: get(event) is only
    if all(isinstance(text, str) for text in constants):
        texts = frozenset(constants)

        def is_one_of(event: Any) -> bool:
            value = get(event)
            return isinstance(value, str) and value in texts

        return is_one_of
    return lambda event: _key(get(event)) in wanted


def holds_all(checks: Sequence[Check]) -> Check:
    """A function that says whether all checks hold for an event."""

    def matches(event: Any) -> bool:
        for check in checks:  # noqa: SIM110 - `all` with a generator costs twice the time
            if not check(event):
                return False
        return True

    return checks[0] if len(checks) == 1 else matches


def texts_of(condition: Condition) -> frozenset[str]:
    """The texts of which the event must have one. Empty for a condition that something else can satisfy too."""
    constants: list[Any] = [condition.is_] if isinstance(condition.in_, UnsetType) else condition.in_
    return frozenset(constants) if all(isinstance(text, str) for text in constants) else frozenset()


def _comparable(constant: Any, pointer: str) -> tuple[str, Any]:
    key = _key(constant)
    if key is None:
        raise InvalidMapping("a condition compares with a text, a number, a boolean or null", pointer)
    return key


def _key(value: Any) -> tuple[str, Any] | None:
    """Equal for equal values: 1 equals 1.0, but neither "1" nor true. None for objects, arrays, and what is missing."""
    match value:
        case None | bool() | str():
            return type(value).__name__, value
        case int() | Decimal():
            return "number", value
        case _ if value is MISSING:
            return None
    return None
