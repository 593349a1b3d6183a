"""Reads the body of an OTLP request in protobuf into the signals that mappings point into. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from flexcredits_schemas.mapping.foreign import Unreadable
from flexcredits_schemas.mapping.readers.otlp.reading import (
    LOGS,
    LONG_SIGNAL,
    METRICS,
    SIGNALS_MAX,
    TRACES,
    Group,
    Kind,
    MalformedRequest,
    read_groups,
)
from flexcredits_schemas.mapping.readers.otlp.values import DEPTH_MAX, TEXT_MAX, Value, exact, is_content
from flexcredits_schemas.mapping.readers.otlp.views import Attributes, Form, Signal, scope_of
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ingest.adapters.otlp.wire import (
    BYTES,
    FIXED64,
    TRUNCATED,
    MalformedWire,
    TooManyFields,
    read_varint,
    skip_field,
    split_signals,
    without_long_fields,
)

FIELD_BYTES_MAX = 2 * 1024
"""Longer fields of a signal above LONG_SIGNAL are left out before it is decoded: prompts and files."""
FIELDS_MAX = 4096
SIGNAL_BYTES_MAX = 1024 * 1024
"""Limit of one signal without its long fields, and of a metric."""
SHARED_ATTRIBUTES_MAX = 200_000
"""Attributes of all resources and scopes of a request. They are read before the first signal, which ends a turn."""
REMEMBERED_MAX, REMEMBERED_BYTES_MAX = 8192, 128
"""Attributes that are remembered, and the limit of their size: at most 2 MiB."""
_MESSAGES: dict[str, Any] = {TRACES.name: Span, LOGS.name: LogRecord, METRICS.name: Metric}
_ATTRIBUTES = {TRACES.name: 9 << 3 | BYTES, LOGS.name: 6 << 3 | BYTES, METRICS.name: 0}
"""The tag of the field `attributes`; metrics have them in their points."""
KEY, VALUE, TEXT, WHOLE = 0x0A, 0x12, 0x0A, 0x18
"""Tags of `KeyValue.key`, `KeyValue.value`, `AnyValue.string_value` and `AnyValue.int_value`."""
_remembered: dict[bytes, tuple[str, Value | None]] = {}
_names: dict[bytes, str] = {}
"""Names of attributes that are not content, by the bytes of their field."""


def read_protobuf(kind: Kind, body: bytes) -> Iterator[Signal | Unreadable]:
    """The signals of a request, in its order. Raises MalformedRequest, at any signal."""
    try:
        yield from read_groups(kind, split(kind, body), PROTOBUF)
    except TooManyFields:
        raise MalformedRequest("too many resources, scopes, signals or fields") from None
    except (MalformedWire, DecodeError, UnicodeError) as error:
        raise MalformedRequest(f"not an {kind.request}: {error}") from None


def split(kind: Kind, body: bytes) -> Iterator[Group]:
    left = SHARED_ATTRIBUTES_MAX
    for resource, scopes in split_signals(body, SIGNALS_MAX):
        shared = Resource.FromString(shorten(resource))
        left = count_attributes(shared, left)
        attributes = protobuf_attributes(shared.attributes)
        for scope, signals in scopes:
            inner = InstrumentationScope.FromString(shorten(scope))
            left = count_attributes(inner, left)
            yield attributes, scope_of(inner, PROTOBUF), decode(kind, signals)


def count_attributes(message: Any, left: int) -> int:
    """Raises TooManyFields."""
    if len(message.attributes) > left:
        raise TooManyFields
    return left - len(message.attributes)


def decode(kind: Kind, signals: Iterable[bytes]) -> Iterator[tuple[Any, Attributes]]:
    message, tag = _MESSAGES[kind.name], _ATTRIBUTES[kind.name]
    for signal in signals:
        rest, attributes = split_attributes(signal if len(signal) <= LONG_SIGNAL else shorten(signal, kind), tag)
        yield message.FromString(rest), attributes


def split_attributes(message: bytes, tag: int) -> tuple[bytes, Attributes]:
    """The message without its attributes, and these by name; `tag` is the tag of the field. Raises MalformedWire.

    Most attributes of a process are the same in every signal, so they are remembered by their bytes: a span with 12
    attributes takes 4 us instead of 9.
    """
    attributes: Attributes = {}
    rest, at, rest_at, end = b"", 0, 0, len(message)
    try:
        while at < end:
            first = message[at]
            kind = first & 7
            if kind == BYTES and first < 0x80:
                size, start = message[at + 1], at + 2
                if size >= 0x80:
                    size, start = read_varint(message, at + 1)
                if first == tag:
                    if at != rest_at:
                        rest += message[rest_at:at]
                    at = rest_at = start + size
                    pair = message[start:at]
                    name, value = _remembered.get(pair) or read_pair(pair)
                    if value is not None:
                        attributes[name] = value
                else:
                    at = start + size
            elif kind == FIXED64 and first < 0x80:
                at += 9
            else:
                at = skip_field(message, at)
    except IndexError:
        raise MalformedWire(TRUNCATED) from None
    if at > end:
        raise MalformedWire(TRUNCATED)
    return (rest + message[rest_at:] if rest_at else message), attributes


def read_pair(pair: bytes) -> tuple[str, Value | None]:
    """Name and value of a `KeyValue`; no value if it is left out.

    A short text or whole number, as writers encode it, is read here; everything else by protobuf's parser.
    """
    try:
        at = pair[1] + 2
        name = _names[pair[:at]]
        rest = len(pair) - at - 2
        if pair[at] == VALUE and pair[at + 1] == rest < 0x80:
            kind = pair[at + 2]
            if kind == WHOLE and rest <= 4:
                number, end = read_varint(pair, at + 3)
                if end == len(pair):
                    return name, number
            if kind == TEXT and pair[at + 3] == rest - 2:
                found: tuple[str, Value | None] = name, pair[at + 4 :].decode()
                remember(pair, found)
                return found
    except (KeyError, IndexError):
        pass
    return parse_pair(pair)


def parse_pair(pair: bytes) -> tuple[str, Value | None]:
    message = KeyValue.FromString(pair)
    name = message.key
    if is_content(name):
        found: tuple[str, Value | None] = name, None
    else:
        found = name, protobuf_value(message.value, 1)
        encoded = name.encode()
        if len(encoded) < 0x80:
            if len(_names) >= REMEMBERED_MAX:
                _names.clear()
            _names[bytes([KEY, len(encoded)]) + encoded] = name
    remember(pair, found)
    return found


def remember(pair: bytes, found: tuple[str, Value | None]) -> None:
    if len(pair) <= REMEMBERED_BYTES_MAX:
        if len(_remembered) >= REMEMBERED_MAX:
            _remembered.clear()
        _remembered[pair] = found


def shorten(message: bytes, kind: Kind | None = None) -> bytes:
    """The message, without its long fields if it is long. Those of a metric are its points. Raises MalformedRequest."""
    if len(message) > LONG_SIGNAL and kind is not METRICS:
        message = without_long_fields(message, FIELD_BYTES_MAX, FIELDS_MAX)
    if len(message) > SIGNAL_BYTES_MAX:
        raise MalformedRequest(f"one signal has more than {SIGNAL_BYTES_MAX} bytes")
    return message


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
    return value.hex() if len(value) == size and any(value) else ""


PROTOBUF = Form(protobuf_attributes, protobuf_value, bytes_id)
