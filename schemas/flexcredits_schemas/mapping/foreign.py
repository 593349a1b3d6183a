"""Events of foreign clients, as adapters read them and mappings place them. Pure."""

from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import msgspec

from flexcredits_schemas.codec import BYTE_ORDER_MARK, InvalidEvent

ID_MAX = 128
"""Maximum length of an event's id and source in characters, by schemas/events/common.json."""
_DIGEST_BYTES = 12


class Foreign(NamedTuple):
    """An event of a foreign client. Numbers in `event` are int or Decimal, never float.

    `id` and `source` are its identity inside the organization. `time` is aware; without `timed` it is the time of
    receipt, because the event has none. `raw` is the event as JSON: sent alone to the same path, it gives this event.
    `uncountable` is why no rule can place the event, only ignore it.
    """

    event: Any
    id: str
    source: str
    time: datetime
    raw: bytes
    timed: bool = True
    uncountable: str = ""


class Unreadable(NamedTuple):
    """An element of a request that is not an event of its protocol, for example because it has no id."""

    id: str | None
    pointer: str
    detail: str
    raw: bytes


class Unplaced(InvalidEvent):
    """An event that the mapping cannot turn into usage. `pointer` is relative to the foreign event.

    `rule` and `field` are "" if no rule matches.
    """

    def __init__(self, rule: str, field: str, pointer: str, detail: str) -> None:
        super().__init__(detail, pointer)
        self.rule = rule
        self.field = field
        self.reason: Literal["unplaced", "unmapped"] = "unplaced" if rule else "unmapped"


class InvalidJson(ValueError):
    """Bytes that are not one JSON value, or one that is nested too deeply."""


_decoder = msgspec.json.Decoder(float_hook=Decimal)


def decode_json(text: bytes) -> Any:
    """The JSON value with exact numbers: int or Decimal. Raises InvalidJson."""
    try:
        return _decoder.decode(text.removeprefix(BYTE_ORDER_MARK))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidJson(f"not valid JSON: {error}") from None
    except RecursionError:
        raise InvalidJson("the JSON is nested too deeply") from None
    except ArithmeticError:
        raise InvalidJson("a number is out of range") from None


def bounded(text: str) -> str:
    """The text if it fits into an event's id or source, else its beginning with a digest of the whole: unequal texts
    stay unequal."""
    if len(text) <= ID_MAX:
        return text
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{text[: ID_MAX - len(digest) - 1]}~{digest}"
