"""JSON Pointers (RFC 6901) to what is invalid in an event."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, get_args

import msgspec

from flexcredits_schemas.events import (
    ActorKind,
    AgentKind,
    AgentState,
    FeatureKind,
    LabelKey,
    LabelValue,
    PeopleMode,
    Product,
    Role,
    Word,
)

_ALLOWED: Mapping[str, Sequence[str]] = {
    "product": get_args(Product), "feature_kind": get_args(FeatureKind), "agent/kind": get_args(AgentKind),
    "actor/kind": get_args(ActorKind), "state": get_args(AgentState), "role": get_args(Role), "people": get_args(PeopleMode),
}  # fmt: skip
"""Allowed values by a pointer's last steps: msgspec's error has only the invalid value."""
_FIELD = re.compile(r"(?:missing required|unknown) field `(.*)`")
_MEMBER = re.compile(r" - at `(?:key` in `)?\$\.data\.(labels|quantities)(?:\[\.\.\.\])?`$")
_MEMBERS: Mapping[str, Any] = {"labels": dict[LabelKey, LabelValue], "quantities": dict[Word, Any]}
"""Objects whose names the sender chooses: msgspec's error does not name the member."""


def point_to(parent: str, name: str) -> str:
    """The pointer to a member of an object. Section 3 of the RFC: ~ and / in its name are escaped."""
    return f"{parent}/{name.replace('~', '~0').replace('/', '~1')}"


def locate(error: msgspec.ValidationError, message: bytes) -> tuple[str, str]:
    """Detail and pointer of msgspec's error: "Expected `str` - at `$.data.feature`" is at "/data/feature"."""
    detail, _, path = str(error).partition(" - at `")
    if found := _MEMBER.search(str(error)):
        return detail, _point_to_member(message, found[1])
    pointer = path.removeprefix("$").rstrip("`").replace("[", "/").replace("]", "").replace(".", "/")
    if field := _FIELD.search(detail):
        pointer += f"/{field[1]}"
    if detail.startswith("Invalid enum value"):
        words = next((words for last, words in _ALLOWED.items() if pointer.endswith(f"/{last}")), ())
        detail += f": must be one of {', '.join(words)}" if words else ""
    return detail, pointer


def _point_to_member(message: bytes, field: str) -> str:
    """The pointer to the first invalid member, or to `field` if the message is not valid JSON after it."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError, TypeError, AttributeError):
        for name, value in msgspec.json.decode(message)["data"][field].items():
            try:
                msgspec.convert({name: value}, _MEMBERS[field])
            except msgspec.ValidationError:
                return point_to(f"/data/{field}", name)
    return f"/data/{field}"
