"""Events of OpenMeter: CloudEvents 1.0 in JSON, whose `time` is optional."""

from datetime import datetime
from typing import Any

from flexcredits_schemas.mapping.foreign import Foreign, Unreadable, bounded
from flexcredits_schemas.mapping.readers.times import read_time


def read_event(event: Any, raw: bytes, received_at: datetime) -> Foreign | Unreadable:
    """The event with its identity, `id` and `source`. An event without a `time` gets the time of receipt."""
    if not isinstance(event, dict):
        return Unreadable(None, "", "an event is a JSON object", raw)
    event_id, source, time = event.get("id"), event.get("source"), event.get("time")
    if event.get("specversion", "1.0") != "1.0":
        return Unreadable(_text(event_id), "/specversion", "must be 1.0", raw)
    for name, value in (("id", event_id), ("source", source), ("type", event.get("type"))):
        if not isinstance(value, str) or not value:
            return Unreadable(_text(event_id), f"/{name}", "expected a text that is not empty", raw)
    at = received_at if time is None else read_time(time) if isinstance(time, str) else None
    if at is None:
        return Unreadable(event_id, "/time", "expected an RFC 3339 time with an offset", raw)
    return Foreign(event, bounded(str(event_id)), bounded(f"openmeter:{source}"), at, raw, time is not None)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
