"""Reads the body of a request in bounded memory: counts bytes as they arrive, and inflates gzip only up to the
limit."""

import asyncio
import zlib
from collections.abc import Mapping
from typing import Protocol

import msgspec
from fastapi import Request
from flexcredits_schemas.codec import BYTE_ORDER_MARK
from starlette.requests import ClientDisconnect

from ingest.http.media_types import BATCH, ONE
from ingest.http.responses import IngestProblem

GZIP = 16 + zlib.MAX_WBITS
# Concatenated gzip files are one valid stream; thousands of empty members are an attack.
GZIP_MEMBERS_MAX = 16
COMMAS_PER_EVENT = 100

_one = msgspec.json.Decoder(msgspec.Raw)
_batch = msgspec.json.Decoder(list[msgspec.Raw])


class Reservation(Protocol):
    """Counts the bytes that a request keeps in memory. Raises when all requests together keep too many."""

    def take(self, size: int) -> None: ...


def is_compressed(headers: Mapping[str, str]) -> bool:
    """Whether the body is gzip. Raises IngestProblem for any other content encoding."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "x-gzip", "identity", ""):
        raise IngestProblem(
            "unsupported-content-encoding", f"Content-Encoding is {encoding!r}", headers={"Accept-Encoding": "gzip"}
        )
    return encoding.endswith("gzip")


async def read_body(request: Request, reservation: Reservation, bytes_max: int, wait_s: float) -> bytes:
    """Read and inflate the whole body. Raises IngestProblem when it is too large in either form, too slow, or not
    gzip."""
    compressed = is_compressed(request.headers)
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > bytes_max:
        raise too_large(bytes_max)
    chunks, received = [], 0
    try:
        async with asyncio.timeout(wait_s):
            async for chunk in request.stream():
                received += len(chunk)
                if received > bytes_max:
                    raise too_large(bytes_max)
                reservation.take(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise IngestProblem(
            "body-timeout", f"not complete after {wait_s:g} s", headers={"Connection": "close"}
        ) from None
    except ClientDisconnect:
        raise IngestProblem("malformed-body", "the connection was closed before the body's end") from None
    body = b"".join(chunks)
    if compressed:
        body = inflate(body, bytes_max)
        reservation.take(len(body))
    return body


def inflate(body: bytes, bytes_max: int) -> bytes:
    """Inflate gzip (RFC 1952) with at most GZIP_MEMBERS_MAX members. Creates at most `bytes_max` + 1 bytes. Raises
    IngestProblem."""
    pieces, size = [], 0
    try:
        for _ in range(GZIP_MEMBERS_MAX):
            member = zlib.decompressobj(GZIP)
            piece = member.decompress(body, bytes_max - size + 1)
            pieces.append(piece)
            size += len(piece)
            if size > bytes_max:
                raise too_large(bytes_max)
            if not member.eof:
                raise IngestProblem("malformed-body", "the gzip stream is truncated")
            body = member.unused_data
            if not body:
                return b"".join(pieces)
    except zlib.error as error:
        raise IngestProblem("malformed-body", f"not valid gzip: {error}") from None
    raise IngestProblem("malformed-body", f"more than {GZIP_MEMBERS_MAX} gzip members")


def split(body: bytes, forms: str, events_max: int) -> list[msgspec.Raw]:
    """The events of a body, not decoded yet. Raises IngestProblem."""
    body = body.removeprefix(BYTE_ORDER_MARK)  # editors and .NET write it; RFC 8259 8.1 lets a reader ignore it
    form = body.lstrip(b" \t\r\n")[:1].decode("latin-1")
    if not form:
        raise IngestProblem("malformed-body", "the body is empty")
    # Parsing an array of a million numbers would take much memory before it is refused.
    if body.count(b",") > events_max * COMMAS_PER_EVENT:
        raise too_many(events_max)
    try:
        elements = _batch.decode(body) if form == BATCH else [_one.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IngestProblem("malformed-body", f"not valid JSON: {error}, in a body of {len(body)} bytes") from None
    except RecursionError:
        raise IngestProblem("malformed-body", "the JSON is nested too deeply") from None
    if form not in forms:
        expected = {ONE: "one event, a JSON object", BATCH: "a JSON array of events"}.get(
            forms, "an object or an array"
        )
        raise IngestProblem("malformed-body", f"this content type is for {expected}")
    if len(elements) > events_max:
        raise too_many(events_max)
    return elements


def too_large(bytes_max: int) -> IngestProblem:
    return IngestProblem("too-large", f"a body has at most {bytes_max} bytes, also after decompression")


def too_many(events_max: int) -> IngestProblem:
    return IngestProblem("too-large", f"a request has at most {events_max} events")
