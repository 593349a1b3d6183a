"""Types of JSON objects without what no rule of a mapping reads: msgspec skips the other members without objects. Pure."""

import codecs
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Required, TypedDict

from flexcredits_schemas.mapping.sources import compile_pointer
from msgspec import Raw

Scalar = str | int | bool | None
"""An array or object here would be read in full, and a fraction would lose digits: they are errors of the decoder."""
UTF8_BYTES = 64 * 1024


@lru_cache(maxsize=1024)
def narrow_type(pointers: frozenset[str], required: tuple[str, ...], raw: frozenset[str]) -> Any | None:
    """A TypedDict that has the members at the pointers, and those of `required`, without which an object is an error.

    Members named in `raw` stay JSON (which msgspec 0.22 refuses of required ones); all others are scalars. None if a
    pointer needs more than members: the whole object, an element of an array, or one value both whole and in parts.
    """
    tree: dict[str, Any] = {name: None for name in required}
    for pointer in sorted(pointers):
        steps = compile_pointer(pointer)
        if not steps or any(index is not None for _, index in steps):
            return None
        *parents, last = (name for name, _ in steps)
        node = tree
        for name in parents:
            inner = node.setdefault(name, {})
            if inner is None:
                return None
            node = inner
        if node.setdefault(last, None) is not None:
            return None
    return _type_of(tree, required, raw)


def _type_of(tree: Mapping[str, Any], required: Iterable[str], raw: frozenset[str]) -> Any:
    members: dict[str, Any] = {}
    for name, inner in tree.items():
        of_member: Any = Raw if name in raw else Scalar
        if inner is not None:
            of_member = _type_of(inner, (), frozenset()) | None
        members[name] = Required[of_member] if name in required else of_member
    return TypedDict("Narrow", members, total=False)  # type: ignore[operator]


def is_utf8(body: bytes) -> bool:
    """Whether the whole body is UTF-8: msgspec does not check the texts that it skips."""
    if body.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(body), UTF8_BYTES):
            decoder.decode(body[start : start + UTF8_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
