"""Reads many short texts at once: decimals, times and ids to arrays. What has another form than the usual one is marked
with -1, and the exact path reads it."""

from collections.abc import Sequence
from datetime import date

import numpy as np
from flexcredits_schemas.identity import DAYS, bucket_of
from numpy.typing import NDArray

_ZERO, _NINE, _DOT, _DASH, _COLON, _QUOTE, _BRACE, _T, _Z = b'09.-:"}TZ'
_POWERS = 10 ** np.arange(7, dtype=np.int64)
_YEARS = range(1971, 2100)
_EPOCH = date(1970, 1, 1).toordinal()
_MONTHS = [date(year, month, 1).toordinal() - _EPOCH for year in _YEARS for month in range(1, 13)]
_MONTH_STARTS = np.array(_MONTHS, np.int64)
_MONTH_DAYS = np.diff(np.array([*_MONTHS, date(2100, 1, 1).toordinal() - _EPOCH]))
_DAY_MS = 86_400_000
_NO_HEX = 255
_HEX = np.full(256, _NO_HEX, np.uint8)
for _value, _digits in enumerate(
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "aA", "bB", "cC", "dD", "eE", "fF"]
):
    _HEX[list(_digits.encode())] = _value
_ID_DASHES = [8, 13, 18, 23]
_ID_HEX = [place for place in range(36) if place not in _ID_DASHES]
_ID_TIME = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]  # 48 bits, in milliseconds (RFC 9562 5.7)

Places = list[NDArray[np.uint8]]
"""By place in the text, the bytes of all texts."""


def _places(joined: bytes, starts: NDArray[np.int64], width: int) -> Places:
    """The first `width` bytes of each text. After a text's end they have no meaning."""
    text = np.frombuffer(joined + bytes(width), np.uint8)
    return [text[starts + place] for place in range(width)]


def _lengths(texts: Sequence[bytes] | Sequence[str]) -> NDArray[np.int64]:
    return np.fromiter(map(len, texts), np.int64, len(texts))


def _is_digit(place: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (place >= _ZERO) & (place <= _NINE)


def parse_amounts(tails: Sequence[bytes]) -> NDArray[np.int64]:
    """Millionths of canonical decimals above 0 (no leading zero, at most 9 digits and 6 places), each with the `"}`
    that ends its event's data: `12.5"}` is 12,500,000. -1 for all else."""
    lengths = _lengths(tails)
    starts = np.cumsum(lengths) - lengths
    end = lengths - 2  # place of the quote
    width = int(min(max(lengths.max(initial=0), 3), 18))
    joined = b"".join(tails)
    places = _places(joined, starts, width)
    good = (end >= 1) & (end <= width - 2)
    text = np.frombuffer(joined + bytes(2), np.uint8)
    good &= (text[starts + np.maximum(end, 0)] == _QUOTE) & (text[starts + np.maximum(end, 0) + 1] == _BRACE)
    value = np.zeros(len(tails), np.int64)
    dot = np.where(good, end, 0)  # place of the dot, or of the quote
    dots = np.zeros(len(tails), np.uint8)
    for at, place in enumerate(places[: width - 2]):
        inside = end > at
        is_digit, is_dot = _is_digit(place) & inside, (place == _DOT) & inside
        good &= is_digit | is_dot | ~inside
        value = np.where(is_digit, value * 10 + (place - np.uint8(_ZERO)), value)
        dot = np.where(is_dot, at, dot)
        dots += is_dot
    decimals = end - dot - dots
    good &= (dots <= 1) & (dot >= 1) & (dot <= 9) & (decimals <= 6) & ((decimals >= 1) | (dots == 0))
    good &= (dot == 1) | (places[0] != _ZERO)
    value *= _POWERS[6 - np.clip(decimals, 0, 6)]
    return np.where(good & (value > 0), value, -1)


def parse_times(times: Sequence[str]) -> NDArray[np.int64]:
    """Microseconds since 1970 of instants in UTC, `2026-11-22T10:15:04.512Z` with 0 to 6 places, from 1971 to 2099. -1
    for all else, such as another offset."""
    lengths = _lengths(times)
    starts = np.cumsum(lengths) - lengths
    places = _places("".join(times).encode("ascii", "replace"), starts, 27)
    good = (lengths >= 20) & (lengths <= 27) & (lengths != 21)
    good &= (places[4] == _DASH) & (places[7] == _DASH) & (places[10] == _T)
    good &= (places[13] == _COLON) & (places[16] == _COLON)

    def number(first: int, digits: int) -> NDArray[np.int64]:
        nonlocal good
        value = np.zeros(len(times), np.int64)
        for place in places[first : first + digits]:
            good &= _is_digit(place)
            value = value * 10 + (place - np.uint8(_ZERO))
        return value

    year, month, day = number(0, 4), number(5, 2), number(8, 2)
    hour, minute, second = number(11, 2), number(14, 2), number(17, 2)
    good &= (year >= _YEARS.start) & (year < _YEARS.stop) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= (hour < 24) & (minute < 60) & (second < 60)
    which = np.where(good, (year - _YEARS.start) * 12 + month - 1, 0)
    good &= day <= _MONTH_DAYS[which]
    seconds = (_MONTH_STARTS[which] + day - 1) * 86_400 + hour * 3600 + minute * 60 + second
    fraction = np.zeros(len(times), np.int64)
    for at in range(20, 26):
        inside = lengths - 1 > at
        good &= _is_digit(places[at]) | ~inside
        fraction = np.where(inside, fraction * 10 + (places[at] - np.uint8(_ZERO)), fraction * 10)
    has_fraction = lengths > 20
    good &= places[19] == np.where(has_fraction, _DOT, _Z)
    last = np.choose(np.clip(lengths - 20, 0, 7), [places[at] for at in range(19, 27)])
    good &= last == _Z
    return np.where(good, seconds * 1_000_000 + fraction, -1)


def ledger_buckets(ids: Sequence[str], identities: Sequence[bytes]) -> NDArray[np.int32]:
    """bucket_of() of each id. The ids are ASCII."""
    buckets = np.empty(len(ids), np.int32)
    is_uuid = _lengths(ids) == 36
    rows = np.flatnonzero(is_uuid)
    some = ids if len(rows) == len(ids) else [ids[row] for row in rows.tolist()]
    text = np.frombuffer("".join(some).encode("ascii", "replace"), np.uint8).reshape(-1, 36)
    places = np.ascontiguousarray(text.T)
    digits = _HEX[places]
    good = (places[_ID_DASHES] == _DASH).all(0) & (digits[_ID_HEX].max(0, initial=0) != _NO_HEX)
    good &= (digits[14] == 7) & (digits[19] >= 8) & (digits[19] <= 11)
    milliseconds = np.zeros(len(rows), np.int64)
    for place in _ID_TIME:
        milliseconds = milliseconds * 16 + digits[place]
    days = milliseconds // _DAY_MS
    good &= (days >= DAYS.start) & (days < DAYS.stop)
    buckets[rows] = days
    others = np.ones(len(ids), np.bool_)
    others[rows] = ~good
    for row in np.flatnonzero(others).tolist():
        buckets[row] = bucket_of(ids[row], identities[row])
    return buckets
