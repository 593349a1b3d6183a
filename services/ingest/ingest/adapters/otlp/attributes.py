"""Reads attributes of OTLP in protobuf, which remain bytes until they are needed. Pure."""

from collections.abc import Iterable
from typing import Any

from flexcredits_schemas.mapping.readers.otlp.values import DEPTH_MAX, TEXT_MAX, Value, exact, is_content
from flexcredits_schemas.mapping.readers.otlp.views import Form
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from ingest.adapters.otlp.wire import MalformedWire, read_varint

REMEMBERED_MAX, REMEMBERED_BYTES_MAX = 8192, 128
"""Attributes that are remembered, and the limit of their size: at most 2 MiB."""
KEY, VALUE, TEXT, WHOLE = 0x0A, 0x12, 0x0A, 0x18
"""Tags of `KeyValue.key`, `KeyValue.value`, `AnyValue.string_value` and `AnyValue.int_value`."""
Pair = tuple[str | None, Value | None]
"""Name and value; twice None if the attribute is left out."""
LEFT_OUT: Pair = (None, None)


class Remembered(dict[bytes, Pair]):
    """Attributes by the bytes of their `KeyValue`. Reads those that it does not have.

    Most attributes of a process are the same in every signal: a known one takes a tenth of the time. When it is full, it
    is emptied, so a sender of many different ones costs the others one more reading of theirs.
    """

    def __missing__(self, pair: bytes) -> Pair:
        """A short text or whole number, as writers encode it, is read here; everything else by protobuf's parser. Raises
        DecodeError and UnicodeError."""
        try:
            at = pair[1] + 2
            name = _names[pair[:at]]
            size = len(pair) - at - 2
            if pair[at] == VALUE and pair[at + 1] == size < 0x80:
                kind = pair[at + 2]
                if kind == TEXT and pair[at + 3] == size - 2:
                    return self._remember(pair, (name, pair[at + 4 :].decode()))
                if kind == WHOLE and size <= 4:
                    if size == 3 and pair[at + 3] >= 0x80 > pair[at + 4]:  # 128 to 16,383
                        return name, pair[at + 3] & 0x7F | pair[at + 4] << 7
                    number, end = read_varint(pair, at + 3)
                    if end == len(pair):
                        return name, number
        except (KeyError, IndexError, MalformedWire):
            pass
        return self._parse(pair)

    def _parse(self, pair: bytes) -> Pair:
        message = KeyValue.FromString(pair)
        name = message.key
        value = None
        if not is_content(name):
            value = protobuf_value(message.value, 1)
            encoded = name.encode()
            if len(encoded) < 0x80:
                if len(_names) >= REMEMBERED_MAX:
                    _names.clear()
                _names[bytes([KEY, len(encoded)]) + encoded] = name
        return self._remember(pair, LEFT_OUT if value is None else (name, value))

    def _remember(self, pair: bytes, found: Pair) -> Pair:
        if len(pair) <= REMEMBERED_BYTES_MAX:
            if len(self) >= REMEMBERED_MAX:
                self.clear()
            self[pair] = found
        return found


_names: dict[bytes, str] = {}
"""Names of attributes that are not content, by the bytes of their field."""
read_pair = Remembered().__getitem__


def read_attributes(pairs: Iterable[bytes]) -> dict[str, Value]:
    """The attributes of encoded `KeyValue` messages, as `protobuf_attributes` reads decoded ones. Raises DecodeError and
    UnicodeError."""
    attributes: dict[Any, Any] = dict(map(read_pair, pairs))
    attributes.pop(None, None)
    return attributes


def protobuf_attributes(pairs: Iterable[Any], depth: int = 1) -> dict[str, Value]:
    """The attributes of `KeyValue` messages by name. Arrays, bytes, empty values, content and what is nested deeper
    than DEPTH_MAX are left out; the last value of a name counts."""
    attributes: dict[str, Value] = {}
    for pair in pairs:
        name = pair.key
        if is_content(name):
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


def bytes_id(value: bytes, size: int) -> str:
    """A trace or span id in hex; "" if it is missing or invalid."""
    return value.hex() if len(value) == size and value.strip(b"\0") else ""


PROTOBUF = Form(protobuf_attributes, protobuf_value, bytes_id)
