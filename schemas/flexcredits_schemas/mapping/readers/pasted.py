"""Reads events from a text that a person pasted: one, an array, lines of JSON, or the body of a request. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw

from flexcredits_schemas.mapping.document import Protocol
from flexcredits_schemas.mapping.foreign import Foreign, InvalidJson, Unreadable, decode_json
from flexcredits_schemas.mapping.readers.otlp.reading import (
    GROUPS,
    LOGS,
    METRICS,
    TRACES,
    Kind,
    MalformedRequest,
    read_json,
)
from flexcredits_schemas.mapping.readers.table import READERS

_OTLP: dict[str, Kind] = {"otlp_traces": TRACES, "otlp_logs": LOGS, "otlp_metrics": METRICS}
_list = msgspec.json.Decoder(list[Raw])


def read_pasted(protocol: Protocol, text: str, received_at: datetime) -> Iterator[Foreign | Unreadable]:
    """The events of a text, in its order. Raises InvalidJson, at any event."""
    try:
        body = text.strip().encode()
    except UnicodeEncodeError:
        raise InvalidJson("not valid JSON: a lone surrogate") from None
    read = READERS[protocol]
    for value, raw in split(protocol, body):
        if protocol in _OTLP and isinstance(value, dict) and any(name in value for name in GROUPS):
            yield from read_otlp(_OTLP[protocol], raw)
        else:
            yield read(value, raw, received_at)


def split(protocol: Protocol, body: bytes) -> Iterable[tuple[Any, bytes]]:
    """Each event, decoded and as bytes. Raises InvalidJson."""
    try:
        value = decode_json(body)
    except InvalidJson:
        lines = [line for line in body.splitlines() if line.strip()]
        if len(lines) < 2 or not all(line.lstrip().startswith(b"{") for line in lines):
            raise
        return ((decode_json(line), line) for line in lines)
    if protocol == "lago" and isinstance(value, dict) and isinstance(value.get("events"), list):
        value, body = value["events"], bytes(msgspec.json.decode(body, type=dict[str, Raw])["events"])
    if isinstance(value, list):
        return zip(value, map(bytes, _list.decode(body)), strict=True)
    return ((value, body),)


def read_otlp(kind: Kind, body: bytes) -> Iterator[Foreign | Unreadable]:
    """The signals of a request in JSON. Raises InvalidJson."""
    try:
        yield from read_json(kind, body)
    except MalformedRequest as error:
        raise InvalidJson(str(error)) from None
