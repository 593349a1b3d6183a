"""Pages of a table's rows, and the place at which the next one goes on. Pure: no row is lost between pages."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from query_api.usage.breakdown.domain.rows import Row, in_order


class InvalidPlace(Exception):
    """A text that was never the place at which a page goes on."""


class Place(NamedTuple):
    """Of a row among its neighbours, in their order."""

    less_credits: int  # negative, so that many come first
    name: str
    id: str
    kind: str
    sent: str  # digest of which rows were sent up to here, this one included


class Page(NamedTuple):
    rows: Sequence[Row]
    place: Place | None
    """Of the last row, if others follow."""
    moved: bool
    """Rows have changed sides of the place that was asked for, and this is the first page again."""


def cut_page(rows: Sequence[Row], after: Place | None, limit: int | None) -> Page:
    """At most `limit` of the sorted rows, those after a place.

    Usage that was counted since may have lifted a row from behind the place to before it, where no later page would show it. So
    the place names which rows were sent; as soon as others stand before it, the pages begin again.
    """
    begin = 0 if after is None else next((n for n, row in enumerate(rows) if in_order(row) > after[:4]), len(rows))
    moved = after is not None and digest_rows(rows[:begin]) != after.sent
    if moved:
        begin = 0
    page = rows[begin:] if limit is None else rows[begin : begin + limit]
    end = begin + len(page)
    return Page(page, Place(*in_order(page[-1]), digest_rows(rows[:end])) if end < len(rows) else None, moved)


def digest_rows(rows: Iterable[Row]) -> str:
    """The same for the same rows, in whatever order and with whatever credits and names."""
    return blake2b(json.dumps(sorted((row.kind, row.id) for row in rows)).encode(), digest_size=16).hexdigest()


def write_place(place: Place) -> str:
    """Opaque to clients."""
    return urlsafe_b64encode(json.dumps(place).encode()).rstrip(b"=").decode()


def read_place(text: str) -> Place:
    """Raises InvalidPlace for what write_place never wrote."""
    try:
        place = Place(*json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4))))
        # Only what we wrote is written so again.
        if [type(value) for value in place] == [int, str, str, str, str] and write_place(place) == text:
            return place
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidPlace(InvalidPlace.__doc__)
