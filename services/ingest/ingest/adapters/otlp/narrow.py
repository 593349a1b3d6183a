"""Reads of a span in protobuf only what the rules of a mapping read. Pure.

The full view is the specification: what is unusual here is read in full, and so is a span that becomes a dead letter.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from flexcredits_schemas.mapping.foreign import Unreadable
from flexcredits_schemas.mapping.readers.otlp.values import SPAN_KINDS, STATUSES, TEXT_MAX, is_content
from flexcredits_schemas.mapping.readers.otlp.views import (
    SOURCE,
    Attributes,
    Signal,
    instant,
    microseconds,
    name_of,
    span_signal,
)
from flexcredits_schemas.mapping.readers.times import of_microseconds
from flexcredits_schemas.mapping.sources import compile_pointer

from ingest.adapters.otlp.attributes import PROTOBUF, bytes_id, protobuf_value, read_attributes
from ingest.adapters.otlp.messages import MESSAGES, MappedSpan

ReadSpan = Callable[[bytes, Attributes, dict[str, Any]], Signal | Unreadable]
"""Reads one encoded span of a resource and a scope. Raises DecodeError and UnicodeError."""
_MEMBERS: dict[str, Callable[[Any], Any]] = {
    "name": lambda span: span.name,
    "kind": lambda span: name_of(SPAN_KINDS, span.kind),
    "start": lambda span: instant(microseconds(span.start_time_unix_nano)),
    "end": lambda span: instant(microseconds(span.end_time_unix_nano) or microseconds(span.start_time_unix_nano)),
    "parent_span_id": lambda span: bytes_id(span.parent_span_id, 8) or None,
    "status": lambda span: name_of(STATUSES, span.status.code),
}
"""The members of a span's view, as `span_signal` has them, beside its attributes and ids."""
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_parse_full = MESSAGES["traces"].FromString
_parse = MappedSpan.FromString


def read_span(encoded: bytes, resource: Attributes, scope: dict[str, Any]) -> Signal | Unreadable:
    """The full view."""
    span = _parse_full(encoded)
    return span_signal(span, read_attributes(span.attributes), resource, scope, PROTOBUF)


class NarrowSpan(Signal):
    """A span without what no rule reads. The field `raw` has the encoded span, the property its full view."""

    __slots__ = ()

    @property
    def raw(self) -> bytes:
        return read_span(self[4], self.event["resource"], self.event["scope"]).raw


@lru_cache(maxsize=1024)
def span_reader(pointers: frozenset[str]) -> ReadSpan:
    """A reader for rules that read at these pointers."""
    names, members = set(), set()
    for pointer in pointers:
        match [name for name, _ in compile_pointer(pointer)]:
            case [] | ["span"] | ["span", "attributes"]:
                return read_span
            case ["span", "attributes", name, *_]:
                names.add(name)
            case ["span", name, *_]:
                members.add(name)
    wanted = sorted(name for name in names if not is_content(name))
    return _reader_of(wanted, [(name, _MEMBERS[name]) for name in sorted(members & _MEMBERS.keys())])


def _reader_of(names: Sequence[str], members: Sequence[tuple[str, Callable[[Any], Any]]]) -> ReadSpan:
    def read_narrow(encoded: bytes, resource: Attributes, scope: dict[str, Any]) -> Signal | Unreadable:
        span = _parse(encoded)
        given, attributes = span.attributes, {}
        for name in names:
            if name in given:
                value = given[name]
                text = value.string_value
                if text and len(text) <= TEXT_MAX:
                    attributes[name] = text
                    continue
                found = value.int_value or protobuf_value(value, 1)
                if found is None:  # left out: an earlier value of the same name may count
                    return read_span(encoded, resource, scope)
                attributes[name] = found
        trace, id_in_trace = span.trace_id, span.span_id
        if len(trace) != 16 or trace == _NO_TRACE or len(id_in_trace) != 8 or id_in_trace == _NO_SPAN:
            return read_span(encoded, resource, scope)
        trace_id, span_id = trace.hex(), id_in_trace.hex()
        view = {"attributes": attributes, "trace_id": trace_id, "span_id": span_id}
        for name, read_member in members:
            view[name] = read_member(span)
        end = microseconds(span.end_time_unix_nano) or microseconds(span.start_time_unix_nano)
        event = {"resource": resource, "scope": scope, "span": view}
        fields = (event, f"{trace_id}/{span_id}", SOURCE, of_microseconds(end), encoded, True, "")
        return tuple.__new__(NarrowSpan, fields)  # in half the time of its own constructor

    return read_narrow
