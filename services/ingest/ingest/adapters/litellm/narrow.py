"""Reads of an array of payloads only what the rules of a mapping read, in one pass over its bytes. Pure.

The full payload is the specification: a body that has something unusual is read in full, and so is a call that becomes a
dead letter.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from flexcredits_schemas.mapping.foreign import Foreign, InvalidJson, bounded, decode_json
from flexcredits_schemas.mapping.readers.litellm import CONTENT, MEMBERS, METADATA, SOURCE
from flexcredits_schemas.mapping.readers.times import of_microseconds, of_seconds
from flexcredits_schemas.mapping.sources import compile_pointer

from ingest.adapters.litellm.narrow_type import is_utf8, narrow_type
from ingest.adapters.litellm.payloads import Payloads, keep_members

_KEPT = frozenset(MEMBERS)
END, POINT, ZERO = "endTime", ord("."), ord("0")
_REQUIRED = ("id", "call_type", "status", "cache_hit", "model", "prompt_tokens", "completion_tokens")
"""Scalars of every payload. The decoder stops at an object without them, so a crafted body becomes few objects: at most
four times its bytes."""
_NOT_SCALAR = frozenset(
    {
        "startTime", "endTime", "response_time", "response_cost", "saved_cache_cost",
        "cost_breakdown", "response_cost_failure_debug_info", "metadata", "request_tags",
    }
)  # fmt: skip
"""Members that are decoded by themselves when a rule reads them whole: fractions, which stay exact, and what can be an
object or array."""
VALUE_BYTES_MAX = 64
"""Limit of one of them. A longer one is read in full."""


class NarrowCall(Foreign):
    """A call without what no rule reads. The field `raw` has the payloads and its index, the property what is kept."""

    __slots__ = ()

    @property
    def raw(self) -> bytes:
        place: Any = self[4]
        payloads, index = place
        return bytes(keep_members(payloads[index]))


class NarrowForm:
    """What some pointers read of a payload."""

    def __init__(self, payload: Any, undecoded: Sequence[str]) -> None:
        self._decoder = msgspec.json.Decoder(list[payload])
        self._undecoded = undecoded

    def decode(self, body: bytes) -> list[dict[str, Any]] | None:
        """The payloads of an array, or None if only the full way can read the body."""
        try:
            return self._decoder.decode(body) if is_utf8(body) else None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def read_call(self, call: dict[str, Any], place: tuple[Payloads, int]) -> Foreign | None:
        """The call as `read_event` reads it; None if only the full way can."""
        call_id = call["id"]
        if not call_id or not isinstance(call_id, str):
            return None
        try:
            ended = read_end(bytes(call.get(END, b"")))
            for name in self._undecoded:
                if name in call:
                    call[name] = read_short(bytes(call[name]))
        except InvalidJson:
            return None
        if ended is None:
            return None
        # In half the time of its own constructor.
        return tuple.__new__(NarrowCall, (call, bounded(call_id), SOURCE, ended, place, True, ""))


def read_end(text: bytes) -> datetime | None:
    """The time of seconds since 1970. Raises InvalidJson. Six decimals, as Python writes most of them, take half the time."""
    if len(text) == 17 and text[10] == POINT:
        digits = text.replace(b".", b"")
        if digits.isdigit() and text[0] != ZERO:
            return of_microseconds(int(digits))
    seconds = read_short(text)
    if isinstance(seconds, Decimal | int) and not isinstance(seconds, bool):
        return of_seconds(seconds)
    return None


def read_short(text: bytes) -> Any:
    """Raises InvalidJson, also for more than VALUE_BYTES_MAX."""
    if len(text) > VALUE_BYTES_MAX:
        raise InvalidJson("long")
    return decode_json(text)


def is_kept(names: Sequence[str]) -> bool:
    """Whether a pointer of these steps can have a value in what is kept of a payload."""
    if names[:1] == [METADATA] and names[1:] and names[1] in CONTENT:
        return False
    return names[:1] != [] and names[0] in _KEPT


@lru_cache(maxsize=1024)
def narrow_form(pointers: frozenset[str]) -> NarrowForm | None:
    """The form for rules that read at these pointers. None if they need more than members of objects."""
    kept = {pointer for pointer in pointers if is_kept([name for name, _ in compile_pointer(pointer)])}
    payload = None if "" in pointers else narrow_type(frozenset({*kept, f"/{END}"}), _REQUIRED, _NOT_SCALAR)
    undecoded = [name for name in sorted(_NOT_SCALAR) if f"/{name}" in kept]
    return None if payload is None else NarrowForm(payload, undecoded)
