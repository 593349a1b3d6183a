"""Compiled sources of a mapping: JSON Pointers into a foreign event, and the texts of what stands there. Pure."""

import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from msgspec import UnsetType

from flexcredits_schemas.mapping.document import Source
from flexcredits_schemas.mapping.readers.times import of_seconds

MISSING = object()
"""Stands for the value of a pointer that leads nowhere."""
_INDEX = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)
_EXACT = Context(prec=3000)
_AMOUNT = re.compile(r"-?\d{1,1000}(?:\.\d{1,1000})?(?:[eE][+-]?\d{1,9})?", re.ASCII)
_MICRO = Decimal("0.000001")

Steps = tuple[tuple[str, int | None], ...]
"""The steps of a pointer, each as a member's name and, if it can be one, as an index."""


class Refused(ValueError):
    """A value that cannot stand in a field of usage."""


def compile_pointer(pointer: str) -> Steps:
    """The steps of a JSON Pointer (RFC 6901)."""
    names = [name.replace("~1", "/").replace("~0", "~") for name in pointer.split("/")[1:]]
    return tuple((name, int(name) if _INDEX.fullmatch(name) else None) for name in names)


def resolve(value: Any, steps: Steps) -> Any:
    """What stands at the pointer, or MISSING."""
    for name, index in steps:
        if isinstance(value, dict):
            value = value.get(name, MISSING)
            if value is MISSING:
                return MISSING
        elif isinstance(value, list) and index is not None and index < len(value):
            value = value[index]
        else:
            return MISSING
    return value


def has_value(value: Any) -> bool:
    """Null and the empty text are no value: many clients send them for what they do not know."""
    return value is not MISSING and value is not None and value != ""


def compile_getter(pointer: str) -> Callable[[Any], Any]:
    """A function like `resolve` for one pointer. Short pointers to members of objects, the usual ones, take a third of
    the time."""
    steps = compile_pointer(pointer)
    names = [name for name, _ in steps]

    def get_member(event: Any) -> Any:
        try:
            return event.get(last, MISSING)
        except AttributeError:  # not an object
            return resolve(event, steps)

    def get_member_of_member(event: Any) -> Any:
        try:
            return event[first].get(last, MISSING)
        except (KeyError, TypeError, AttributeError):
            return resolve(event, steps)

    def get_third_member(event: Any) -> Any:
        try:
            return event[first][second].get(last, MISSING)
        except (KeyError, TypeError, AttributeError):
            return resolve(event, steps)

    match names:
        case [last]:
            return get_member
        case [first, last]:
            return get_member_of_member
        case [first, second, last]:
            return get_third_member
    return lambda event: resolve(event, steps)


class CompiledSource:
    """Reads one field from foreign events. `convert` turns what stands there into a text, or raises Refused."""

    __slots__ = ("_convert", "_getters", "constant", "default", "pointers")

    def __init__(self, source: Source, convert: Callable[[Any], str]) -> None:
        self.pointers = source.pointers
        self.constant = None if isinstance(source.value, UnsetType) else convert(source.value)
        self._getters = [compile_getter(pointer) for pointer in self.pointers]
        self._convert = convert
        self.default = self.constant if isinstance(source.default, UnsetType) else convert(source.default)

    def read(self, event: Any) -> str | None:
        """The text of the field, or None without a value. Raises Refused."""
        for get in self._getters:
            value = get(event)
            if value is not None and value is not MISSING and value != "":  # `has_value`
                return self._convert(value)
        return self.default

    def pointer_of(self, event: Any) -> str:
        """The pointer that has the value of this field; "" for a constant or default."""
        for pointer, get in zip(self.pointers, self._getters, strict=True):
            if has_value(get(event)):
                return pointer
        return ""


def to_text(value: Any) -> str:
    """The text of a name or id. Numbers keep their digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Refused(f"expected a text, not {_kind(value)}")
    return str(value)


def to_label(value: Any) -> str:
    """The text of a label: also `true` and `false`."""
    return ("true" if value else "false") if isinstance(value, bool) else to_text(value)


def to_amount(value: Any) -> str:
    """The exact text of a number, or of a text that contains one. The codec checks its range and places."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise Refused(f"expected a number or a decimal text, not {_kind(value)}")
    return str(value)


def scale_by(times: Decimal) -> Callable[[Any], str]:
    """A function like `to_amount` that multiplies exactly and rounds the product half to even to six places."""

    def convert(value: Any) -> str:
        text = to_amount(value)
        if not _AMOUNT.fullmatch(text):
            raise Refused("expected a decimal number")
        try:
            amount = Decimal(text)
            if not amount:
                return "0"
            if not -1000 <= amount.adjusted() < 13:  # before any arithmetic: exponents can be a billion
                raise Refused("out of range")
            return f"{_EXACT.multiply(amount, times).quantize(_MICRO, ROUND_HALF_EVEN, _EXACT):f}"
        except ArithmeticError:
            raise Refused("out of range") from None

    return convert


def to_time(value: Any) -> str:
    """An RFC 3339 time. A number is in seconds since 1970; digits after microseconds are cut."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Refused(f"expected an RFC 3339 time or seconds since 1970, not {_kind(value)}")
    time = of_seconds(value)
    if time is None:
        raise Refused("out of range")
    return time.isoformat()


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    return {dict: "an object", list: "an array", int: "a number", Decimal: "a number"}.get(type(value), "another value")
