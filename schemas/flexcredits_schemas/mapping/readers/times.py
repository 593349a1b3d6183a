"""Times of foreign events."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

_LONG = re.compile(r"(\.\d{6})\d+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_MIN, _SECONDS_MAX = -62_000_000_000, 253_000_000_000
"""In the years 5 and 9987."""


def read_time(text: str) -> datetime | None:
    """An RFC 3339 time, or None. Digits after microseconds are cut."""
    if text[26:27].isdigit():  # the seventh digit after the seconds
        text = _LONG.sub(r"\1", text, count=1)
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None
    return time if time.tzinfo is not None else None


def of_seconds(seconds: int | Decimal) -> datetime | None:
    """The time of exact seconds since 1970, or None if it is out of range. Digits after microseconds are cut."""
    if not _SECONDS_MIN < seconds < _SECONDS_MAX:  # before any arithmetic: exponents can be a billion
        return None
    return _EPOCH + timedelta(microseconds=int(seconds * 1_000_000))
