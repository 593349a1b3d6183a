"""Times of foreign events."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

_LONG = re.compile(r"(\.\d{6})\d+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DOUBLE_MAX = 2**32 * 1_000_000
"""Below this, in the year 2106, a double of seconds is exact to the microsecond, and half the time is enough."""
_MICROSECONDS_MIN, _MICROSECONDS_MAX = -62_000_000_000_000_000, 253_000_000_000_000_000
"""In the years 5 and 9987."""
_DIGITS_MAX = 12


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
    if (
        isinstance(seconds, Decimal) and seconds.adjusted() >= _DIGITS_MAX
    ):  # before any arithmetic: exponents can be a billion
        return None
    microseconds = int(seconds * 1_000_000)
    if not _MICROSECONDS_MIN < microseconds < _MICROSECONDS_MAX:
        return None
    return of_microseconds(microseconds)


def of_microseconds(microseconds: int) -> datetime:
    """The time of microseconds since 1970, between the years 1 and 9999."""
    if 0 <= microseconds < _DOUBLE_MAX:
        return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
    return _EPOCH + timedelta(0, 0, microseconds)
