"""CloudEvents in binary content mode: attributes in `ce-` headers, data as the body (HTTP protocol binding 1.0.2,
3.1)."""

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
"""The attributes that we read. Any other attribute is an extension, which is ignored in structured mode too."""
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_value = msgspec.json.Decoder(msgspec.Raw)


def is_binary(headers: Mapping[str, str]) -> bool:
    """Whether the request is in binary mode: it has attributes in headers, and no content type of CloudEvents."""
    is_structured = headers.get("content-type", "").strip().lower().startswith("application/cloudevents")
    return not is_structured and any(f"ce-{name}" in headers for name in REQUIRED)


def check_content_type(headers: Mapping[str, str]) -> None:
    """Raise IngestProblem unless the data is JSON, which is the default without a content type."""
    content_type = headers.get("content-type")
    if content_type and not is_utf8_json(content_type):
        raise unsupported(content_type)


def to_structured(headers: Headers, body: bytes) -> msgspec.Raw:
    """The event in structured mode. Raises IngestProblem when an attribute or the body is invalid."""
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
        data = bytes(_value.decode(body))  # exactly one value, so that the data cannot end the envelope
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IngestProblem("malformed-body", f"not valid JSON: {error}, in a body of {len(body)} bytes") from None
    except RecursionError:
        raise IngestProblem("malformed-body", "the JSON is nested too deeply") from None
    return msgspec.Raw(b'%b,"data":%b}' % (envelope[:-1], data))


def read_attribute(name: str, value: str) -> str:
    """The text of an attribute from its header: unquoted, as older senders need it, then percent-decoded once
    (3.1.3.2)."""
    octets = value.encode("latin-1")  # restores the bytes, because servers decode headers as Latin-1
    if len(octets) > 1 and octets.startswith(b'"') and octets.endswith(b'"'):
        octets = _ESCAPED.sub(rb"\1", octets[1:-1])
    try:
        return unquote_to_bytes(octets).decode()
    except UnicodeDecodeError:
        raise IngestProblem("malformed-body", f"the header ce-{name} is not UTF-8, percent-encoded") from None
