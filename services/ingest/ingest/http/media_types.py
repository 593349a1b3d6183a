"""The content types that a request may have: names in any case, with parameters (RFC 9110 8.3.1)."""

from collections.abc import Mapping
from email.message import Message
from functools import lru_cache

from ingest.http.responses import IngestProblem

ONE, BATCH = "{", "["
FORMS = {
    "application/cloudevents+json": ONE,
    "application/cloudevents-batch+json": BATCH,
    "application/json": ONE + BATCH,
}
CHARSETS = ("utf-8", "utf8", "us-ascii")


def allowed_forms(headers: Mapping[str, str]) -> str:
    """The first characters that a body of this content type may have: of an object, an array, or either. Raises
    IngestProblem."""
    content_type = headers.get("content-type", "")
    name, charset = _parse(content_type)
    forms = FORMS.get(name)
    if forms is None or charset not in CHARSETS:
        raise unsupported(content_type)
    return forms


def is_utf8_json(content_type: str) -> bool:
    """Whether the content type is JSON, which is UTF-8 (RFC 8259 8.1)."""
    name, charset = _parse(content_type)
    return (name in ("application/json", "text/json") or name.endswith("+json")) and charset in CHARSETS


def unsupported(content_type: str) -> IngestProblem:
    detail = f"Content-Type is {content_type!r}" if content_type else "Content-Type is missing"
    return IngestProblem("unsupported-media-type", detail, headers={"Accept": ", ".join(FORMS)})


@lru_cache(maxsize=64)  # senders use few, and the parser takes a tenth of the time of a request with one event
def _parse(content_type: str) -> tuple[str, str]:
    """Name and charset of a content type, in lower case."""
    message = Message()
    message["content-type"] = content_type
    return message.get_content_type(), str(message.get_param("charset", "utf-8")).lower()
