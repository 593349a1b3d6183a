"""A page of a table's rows, and the place at which the next one goes on. Pure: pages hold every row once."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import NamedTuple

from query_api.breakdown import Row, in_order
from query_api.firings import InvalidCursor


class Place(NamedTuple):
    """Of a row among its neighbours, in their order."""

    less_credits: int  # negative, so that many come first
    name: str
    id: str
    kind: str


def cut_page(rows: Sequence[Row], after: Place | None, limit: int | None) -> tuple[list[Row], Place | None]:
    """At most `limit` of the sorted rows, those after a place, and the place of the last if others follow."""
    following = [row for row in rows if after is None or in_order(row) > after]
    page = following[:limit]
    return page, Place(*in_order(page[-1])) if len(page) < len(following) else None


def write_place(place: Place) -> str:
    """Opaque to clients."""
    return urlsafe_b64encode(json.dumps(place).encode()).rstrip(b"=").decode()


def read_place(text: str) -> Place:
    """Raises InvalidCursor for what write_place never wrote."""
    try:
        place = Place(*json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4))))
        # Only what we wrote is written so again.
        if [type(value) for value in place] == [int, str, str, str] and write_place(place) == text:
            return place
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidCursor(InvalidCursor.__doc__)
