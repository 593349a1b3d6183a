"""Splits bodies of foreign JSON into their events."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec
from flexcredits_schemas.mapping.foreign import Foreign, InvalidJson, Unreadable, decode_json
from flexcredits_schemas.mapping.readers.table import Read
from msgspec import Raw
from starlette.datastructures import Headers

from ingest.http.body import COMMAS_PER_EVENT, too_many
from ingest.http.media_types import is_utf8_json, unsupported
from ingest.http.responses import IngestProblem


def check_json(headers: Headers) -> None:
    """Raise IngestProblem unless the body is JSON in UTF-8."""
    content_type = headers.get("content-type", "")
    if not is_utf8_json(content_type):
        raise unsupported(content_type)


@contextmanager
def unreadable_body(body: bytes) -> Iterator[None]:
    """Turn msgspec's errors into IngestProblem."""
    try:
        yield
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IngestProblem("malformed-body", f"not valid JSON: {error}, in a body of {len(body)} bytes") from None
    except RecursionError:
        raise IngestProblem("malformed-body", "the JSON is nested too deeply") from None


def check_commas(body: bytes, events_max: int) -> None:
    """Refuse a body that would become many more objects than it has events. Raises IngestProblem."""
    if body.count(b",") > events_max * COMMAS_PER_EVENT:
        raise too_many(events_max)


def read_element(raw: Raw, read_event: Read, received_at: datetime, bytes_max: int) -> Foreign | Unreadable:
    """One event of a body with the protocol's reader."""
    text = bytes(raw)
    if len(text) > bytes_max:
        return Unreadable(None, "", "too large", text)  # before it is decoded, which takes twenty times the memory
    try:
        event = decode_json(text)
    except InvalidJson as error:
        return Unreadable(None, "", str(error), text)
    return read_event(event, text, received_at)
