"""CloudEvents with UUIDv7 ids, built from integers only: the same arguments give the same bytes. Pure."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any

Event = dict[str, Any]
DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()
_EPOCH_AT = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds_of(instant: datetime) -> int:
    return (instant - _EPOCH_AT) // timedelta(milliseconds=1)


def midnight_of(day: date) -> int:
    """Milliseconds since 1970 at which a day begins in UTC: the time of catalog events that have no exact time.

    In every time zone, this instant is before the beginning of the following day.
    """
    return (day.toordinal() - _EPOCH) * DAY_MS


def instant_text(milliseconds: int) -> str:
    """RFC 3339 in UTC with milliseconds. Faster than datetime; it is called once per event."""
    days, rest = divmod(milliseconds, DAY_MS)
    seconds, rest = divmod(rest, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{_day_text(days)}T{hour:02}:{minute:02}:{second:02}.{rest:03}Z"


@lru_cache(maxsize=1024)
def _day_text(days: int) -> str:
    return date.fromordinal(_EPOCH + days).isoformat()


def uuid7(milliseconds: int, entropy: int) -> str:
    """A UUIDv7 (RFC 9562) of an instant. `entropy` has its 74 random bits."""
    time, random_b = f"{milliseconds:012x}", entropy & ((1 << 62) - 1)
    high, low = 0x8000 | random_b >> 48, random_b & ((1 << 48) - 1)
    return f"{time[:8]}-{time[8:]}-7{entropy >> 62 & 0xFFF:03x}-{high:04x}-{low:012x}"


def entropy_of(*parts: object) -> int:
    """74 bits of a hash of the parts, so that the same event has the same id in every run."""
    digest = blake2b("\0".join(map(str, parts)).encode(), digest_size=10).digest()
    return int.from_bytes(digest) >> 6


def build_event(
    kind: str, subject: str | None, event_id: str, source: str, milliseconds: int, data: dict[str, Any]
) -> Event:
    """`kind` is the middle of the type: usage, organization, ... A catalog event without `subject` is for all organizations."""
    event = {"specversion": "1.0", "id": event_id, "source": source, "type": f"flexcredits.{kind}.v1"}
    if subject is not None:
        event["subject"] = subject
    return event | {"time": instant_text(milliseconds), "data": data}


def build_catalog_event(kind: str, subject: str | None, milliseconds: int, data: dict[str, Any]) -> Event:
    """A catalog event; its id is a hash of its content and time."""
    event_id = uuid7(milliseconds, entropy_of(kind, subject, milliseconds, *data.items()))
    return build_event(kind, subject, event_id, "/simulate", milliseconds, data)
