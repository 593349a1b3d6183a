"""Events of Lago: `transaction_id`, `external_subscription_id`, `code`, `timestamp` and `properties`."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from flexcredits_schemas.mapping.foreign import Foreign, Unreadable, bounded
from flexcredits_schemas.mapping.readers.times import of_seconds, read_time

REQUIRED = ("transaction_id", "external_subscription_id", "code")
_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,12})?", re.ASCII)


def read_event(event: Any, raw: bytes, received_at: datetime) -> Foreign | Unreadable:
    """The event with its identity: a `transaction_id` is unique in a subscription. An event without a `timestamp` gets
    the time of receipt, as in Lago. `{"event": ...}`, the form of a request, is taken too."""
    if isinstance(event, dict) and event.keys() == {"event"}:
        event = event["event"]
    if not isinstance(event, dict):
        return Unreadable(None, "", "an event is a JSON object", raw)
    transaction_id = event.get("transaction_id")
    for name in REQUIRED:
        value = event.get(name)
        if not isinstance(value, str) or not value:
            known = transaction_id if isinstance(transaction_id, str) else None
            return Unreadable(known, f"/{name}", "expected a text that is not empty", raw)
    event_id, source = bounded(event["transaction_id"]), bounded(f"lago:{event['external_subscription_id']}")
    timestamp = event.get("timestamp")
    if timestamp is None:
        return Foreign(event, event_id, source, received_at, raw, False)
    at = read_timestamp(timestamp)
    if at is None:
        detail = "expected seconds since 1970, as a number or text, or an RFC 3339 time with an offset"
        return Unreadable(event["transaction_id"], "/timestamp", detail, raw)
    return Foreign(event, event_id, source, at, raw)


def read_timestamp(value: Any) -> datetime | None:
    """The time of a `timestamp`: the SDKs write seconds as a number or as a text. None if it is neither, or out of
    range, as milliseconds are."""
    if isinstance(value, str):
        if not _SECONDS.fullmatch(value):
            return read_time(value)
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return of_seconds(value)
