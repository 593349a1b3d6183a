"""Payloads of LiteLLM in full: the specification of what is read of them. Pure."""

from datetime import datetime
from typing import Any

import msgspec
from flexcredits_schemas.mapping.foreign import Foreign, Unreadable
from flexcredits_schemas.mapping.readers.litellm import CONTENT, MEMBERS, read_event
from msgspec import UNSET, Raw, UnsetType

from ingest.adapters.elements import read_element

split_array = msgspec.json.Decoder(list[Raw]).decode
# Decodes the members that are kept, and skips the others without creating objects.
_Payload: Any = msgspec.defstruct("Payload", [(name, Raw | UnsetType, UNSET) for name in MEMBERS], gc=False)
_payload = msgspec.json.Decoder(_Payload)
_object = msgspec.json.Decoder(dict[str, Raw])
_PREFIXES = [f',"{name}":'.encode() for name in MEMBERS]


def read_payload(raw: Raw, received_at: datetime, bytes_max: int) -> Foreign | Unreadable:
    """The call of a payload, without the members that are not about usage."""
    return read_element(keep_members(raw), read_event, received_at, bytes_max)


def keep_members(raw: Raw) -> Raw:
    """The payload without the members that are not about usage; other JSON as it is."""
    try:
        payload = _payload.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return raw  # not an object
    if payload.metadata is not UNSET:
        payload.metadata = without_content(payload.metadata)
    kept: list[bytes | Raw] = []
    for prefix, value in zip(_PREFIXES, msgspec.structs.astuple(payload), strict=True):
        if value is not UNSET:
            kept += (prefix, value)
    return Raw(b"{%b}" % b"".join(kept)[1:])


def without_content(metadata: Raw) -> Raw:
    """The member `metadata` without what people wrote."""
    try:
        members = _object.decode(metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return metadata  # not an object
    if CONTENT.isdisjoint(members):
        return metadata
    return Raw(msgspec.json.encode({name: value for name, value in members.items() if name not in CONTENT}))


class Payloads:
    """The payloads of an array, split when the first one is needed in full."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._payloads: list[Raw] | None = None

    def __getitem__(self, index: int) -> Raw:
        if self._payloads is None:
            self._payloads = split_array(self._body)
        return self._payloads[index]
