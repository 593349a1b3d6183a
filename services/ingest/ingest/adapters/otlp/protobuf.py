"""Reads the body of an OTLP request in protobuf into the signals that mappings point into. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from flexcredits_schemas.mapping.foreign import Unreadable
from flexcredits_schemas.mapping.readers.otlp.reading import (
    LONG_SIGNAL,
    METRICS,
    SIGNALS_MAX,
    TRACES,
    Group,
    Kind,
    MalformedRequest,
    read_groups,
)
from flexcredits_schemas.mapping.readers.otlp.views import Attributes, Signal, scope_of
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from ingest.adapters.otlp.attributes import PROTOBUF, protobuf_attributes, read_attributes
from ingest.adapters.otlp.messages import MESSAGES
from ingest.adapters.otlp.narrow import ReadSpan, read_span, span_reader
from ingest.adapters.otlp.wire import MalformedWire, TooManyFields, split_signals, without_long_fields

FIELD_BYTES_MAX = 2 * 1024
"""Longer fields of a signal above LONG_SIGNAL are left out before it is decoded: prompts and files."""
FIELDS_MAX = 4096
SIGNAL_BYTES_MAX = 1024 * 1024
"""Limit of one signal without its long fields, and of a metric."""
EVERYTHING = frozenset({""})
"""The pointer to the whole event."""
SHARED_ATTRIBUTES_MAX = 200_000
"""Attributes of all resources and scopes of a request. They are read before the first signal, which ends a turn."""


def read_protobuf(kind: Kind, body: bytes, pointers: frozenset[str] = EVERYTHING) -> Iterator[Signal | Unreadable]:
    """The signals of a request, in its order. Of spans, what no rule reads may be left out: `pointers` are those of the
    rules. Raises MalformedRequest, at any signal."""
    try:
        if kind is TRACES:
            yield from read_spans(body, span_reader(pointers))
        else:
            yield from read_groups(kind, decode_groups(kind, body), PROTOBUF)
    except TooManyFields:
        raise MalformedRequest("too many resources, scopes, signals or fields") from None
    except (MalformedWire, DecodeError, UnicodeError) as error:
        raise MalformedRequest(f"not an {kind.request}: {error}") from None


def read_spans(body: bytes, read: ReadSpan) -> Iterator[Signal | Unreadable]:
    for resource, scope, spans in split(body):
        for span in spans:
            yield read(span, resource, scope) if len(span) <= LONG_SIGNAL else read_span(shorten(span), resource, scope)


def decode_groups(kind: Kind, body: bytes) -> Iterator[Group]:
    for resource, scope, signals in split(body):
        yield resource, scope, decode(kind, signals)


def split(body: bytes) -> Iterator[tuple[Attributes, dict[str, Any], list[bytes]]]:
    """The resource, the scope, and their encoded signals."""
    left = SHARED_ATTRIBUTES_MAX
    for resource, scopes in split_signals(body, SIGNALS_MAX):
        shared = Resource.FromString(shorten(resource))
        left = count_attributes(shared, left)
        attributes = protobuf_attributes(shared.attributes)
        for scope, signals in scopes:
            inner = InstrumentationScope.FromString(shorten(scope))
            left = count_attributes(inner, left)
            yield attributes, scope_of(inner, PROTOBUF), signals


def count_attributes(message: Any, left: int) -> int:
    """Raises TooManyFields."""
    if len(message.attributes) > left:
        raise TooManyFields
    return left - len(message.attributes)


def decode(kind: Kind, signals: Iterable[bytes]) -> Iterator[tuple[Any, Attributes]]:
    parse = MESSAGES[kind.name].FromString
    for signal in signals:
        message = parse(signal if len(signal) <= LONG_SIGNAL else shorten(signal, kind))
        yield message, {} if kind is METRICS else read_attributes(message.attributes)


def shorten(message: bytes, kind: Kind | None = None) -> bytes:
    """The message, without its long fields if it is long. Those of a metric are its points. Raises MalformedRequest."""
    if len(message) > LONG_SIGNAL and kind is not METRICS:
        message = without_long_fields(message, FIELD_BYTES_MAX, FIELDS_MAX)
    if len(message) > SIGNAL_BYTES_MAX:
        raise MalformedRequest(f"one signal has more than {SIGNAL_BYTES_MAX} bytes")
    return message
