"""Splits the protobuf body of an OTLP request into signals (spans, log records, metrics) that are not decoded yet. Pure.

protobuf's own parser creates about 30 bytes of objects per byte of a crafted body, so it only gets slices of bounded
size. Unknown fields are skipped.
"""

from collections.abc import Iterator

VARINT, BYTES = 0, 2
FIXED = {1: 8, 5: 4}
"""Wire types, and the bytes of those that always have as many."""
VARINT_BYTES_MAX = 10
TRUNCATED = "a field is truncated"


class MalformedWire(ValueError):
    """The bytes are not protobuf."""


class TooManyFields(ValueError):
    """More fields than a message of this kind has."""


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The varint at `at`, and the position after it. Raises MalformedWire."""
    value = shift = 0
    for end, byte in enumerate(data[at : at + VARINT_BYTES_MAX], at + 1):
        if byte < 0x80:
            return value | byte << shift, end
        value |= (byte & 0x7F) << shift
        shift += 7
    raise MalformedWire("a varint does not end")


def split_fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, first byte of the field, first byte of its value, end) of each length-delimited field of a message.

    Fields of other wire types are skipped. Raises MalformedWire.
    """
    at = start
    while at < end:
        tag_at = at
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = read_varint(data, tag_at)
        kind, number = tag & 7, tag >> 3
        if not number:
            raise MalformedWire("a field has the number 0")
        if kind == BYTES:
            if at >= end:
                raise MalformedWire(TRUNCATED)
            size = data[at]
            at += 1
            if size >= 0x80:
                if at < end and data[at] < 0x80:  # two bytes, the usual case of signals
                    size, at = size & 0x7F | data[at] << 7, at + 1
                else:
                    size, at = read_varint(data, at - 1)
            value_at, at = at, at + size
            if at > end:
                raise MalformedWire(TRUNCATED)
            yield number, tag_at, value_at, at
        elif kind == VARINT:
            _, at = read_varint(data, at)
        elif kind in FIXED:
            at += FIXED[kind]
        else:
            raise MalformedWire(f"a field has the wire type {kind}")
    if at != end:
        raise MalformedWire(TRUNCATED)


def split_signals(body: bytes, fields_max: int) -> Iterator[tuple[bytes, list[tuple[bytes, list[bytes]]]]]:
    """(resource, [(scope, [signal])]) of each group of an Export...ServiceRequest, as encoded messages.

    Traces, logs and metrics have the same three levels with the same field numbers. Raises MalformedWire, and
    TooManyFields when there are more than `fields_max` fields on these levels.
    """
    left = fields_max
    for number, _, start, end in split_fields(body, 0, len(body)):
        left = _count(left)
        if number != 1:
            continue
        resource, scopes = b"", []
        for inner, _, inner_start, inner_end in split_fields(body, start, end):
            left = _count(left)
            if inner == 1:
                resource += body[inner_start:inner_end]  # repeated occurrences of one message are merged by joining
            elif inner == 2:
                scope, signals = b"", []
                for innermost, _, signal_start, signal_end in split_fields(body, inner_start, inner_end):
                    left = _count(left)
                    if innermost == 1:
                        scope += body[signal_start:signal_end]
                    elif innermost == 2:
                        signals.append(body[signal_start:signal_end])
                scopes.append((scope, signals))
        yield resource, scopes


def _count(left: int) -> int:
    if not left:
        raise TooManyFields
    return left - 1


def without_long_fields(message: bytes, field_bytes_max: int, fields_max: int) -> bytes:
    """The message without length-delimited fields above `field_bytes_max` bytes.

    For signals that are long because they contain prompts or files: identity, times and token counts are short. Raises
    MalformedWire, and TooManyFields.
    """
    pieces, at, left = [], 0, fields_max
    for _, field_at, value_at, end in split_fields(message, 0, len(message)):
        left = _count(left)
        if end - value_at > field_bytes_max:
            pieces.append(message[at:field_at])
            at = end
    pieces.append(message[at:])
    return b"".join(pieces)
