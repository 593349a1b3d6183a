"""Tries a mapping on one event, as a client would send it alone. Pure."""

from datetime import datetime

from flexcredits_schemas.codec import InvalidEvent
from flexcredits_schemas.events import Usage
from flexcredits_schemas.mapping.apply import Ignored, Mapping
from flexcredits_schemas.mapping.foreign import InvalidJson, Unreadable, decode_json
from flexcredits_schemas.mapping.readers.table import READERS


def try_event(mapping: Mapping, protocol: str, raw: bytes, received_at: datetime) -> Usage | Ignored:
    """What ingest would make of the event. Raises InvalidEvent: Unplaced if the mapping cannot place it."""
    read = READERS.get(protocol)
    if read is None:
        raise InvalidEvent(f"protocol {protocol!r} cannot be tried: choose from {', '.join(READERS)}")
    try:
        foreign = read(decode_json(raw), raw, received_at)
    except InvalidJson as error:
        raise InvalidEvent(str(error)) from None
    if isinstance(foreign, Unreadable):
        raise InvalidEvent(foreign.detail, foreign.pointer)
    return mapping.place(protocol, foreign)
