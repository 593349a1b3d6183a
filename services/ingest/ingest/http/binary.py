"""CloudEvents in binary content mode: attributes in `ce-` headers, data as the body (HTTP protocol binding 1.0.2, 3.1)."""

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import msgspec
from flexcredits_schemas.codec import BYTE_ORDER_MARK
from starlette.datastructures import Headers

from ingest.http.media_types import is_utf8_json, unsupported
from ingest.http.responses import IngestProblem

REQUIRED = ("specversion", "id", "source", "type")
ATTRIBUTES = (*REQUIRED, "subject", "time")
"""What we read; any other attribute is an extension, which is not used in structured mode either."""
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_value = msgspec.json.Decoder(msgspec.Raw)


def is_binary(headers: Mapping[str, str]) -> bool:
    """Whether the request is in binary mode: another content type than CloudEvents' own, and attributes in headers."""
    is_structured = headers.get("content-type", "").strip().lower().startswith("application/cloudevents")
    return not is_structured and any(f"ce-{name}" in headers for name in REQUIRED)


def check_content_type(headers: Mapping[str, str]) -> None:
    """Raise IngestProblem unless the data is JSON. Without a content type it is taken for JSON."""
    content_type = headers.get("content-type")
    if content_type and not is_utf8_json(content_type):
        raise unsupported(content_type)


def to_structured(headers: Headers, body: bytes) -> msgspec.Raw:
    """The event as a structured one. Raises IngestProblem when an attribute or the body cannot be read."""
    given = {name: headers.getlist(f"ce-{name}") for name in ATTRIBUTES}
    for name, values in given.items():
        if len(values) > 1:
            raise IngestProblem("malformed-body", f"the header ce-{name} is there {len(values)} times")
    attributes = {name: read_attribute(name, values[0]) for name, values in given.items() if values}
    if "content-type" in headers:
        attributes["datacontenttype"] = "application/json"
    envelope = msgspec.json.encode(attributes)
    body = body.removeprefix(BYTE_ORDER_MARK)
    if not body:
        return msgspec.Raw(envelope)
    try:
        data = bytes(_value.decode(body))  # one value and nothing behind it: it must not end the envelope
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IngestProblem("malformed-body", f"not valid JSON: {error}, in a body of {len(body)} bytes") from None
    except RecursionError:
        raise IngestProblem("malformed-body", "the JSON is nested too deeply") from None
    return msgspec.Raw(b'%b,"data":%b}' % (envelope[:-1], data))


def read_attribute(name: str, value: str) -> str:
    """An attribute's text out of its header: unquoted as older senders need it, then percent-decoded once (3.1.3.2)."""
    octets = value.encode("latin-1")  # undoes how servers read header bytes
    if len(octets) > 1 and octets.startswith(b'"') and octets.endswith(b'"'):
        octets = _ESCAPED.sub(rb"\1", octets[1:-1])
    try:
        return unquote_to_bytes(octets).decode()
    except UnicodeDecodeError:
        raise IngestProblem("malformed-body", f"the header ce-{name} is not UTF-8, percent-encoded") from None
