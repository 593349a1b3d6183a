"""Pages of a table's rows or of a history, and the place at which the next one goes on. Pure: pages hold every row once."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from query_api.breakdown import Row, in_order

Numbered = TypeVar("Numbered")


class InvalidCursor(Exception):
    """A text that was never the place at which a page goes on."""


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


def cut_history(
    rows: Sequence[Numbered], limit: int, number_of: Callable[[Numbered], int]
) -> tuple[Sequence[Numbered], str | None]:
    """The first `limit` rows, newest first, and the cursor of the last if others follow: read one row more than that."""
    page = rows[:limit]
    return page, write_cursor(number_of(page[-1])) if len(rows) > limit else None


def write_cursor(number: int) -> str:
    """Opaque to clients, so that pages may one day be cut by something else."""
    return urlsafe_b64encode(number.to_bytes(8, signed=True)).rstrip(b"=").decode()


def read_cursor(text: str) -> int:
    """The number of the row before which a page begins. Raises InvalidCursor."""
    try:
        number = int.from_bytes(urlsafe_b64decode(text + "="))
        # Decoding overlooks foreign characters and left-over bits; only what we wrote is written so again.
        if number > 0 and write_cursor(number) == text:
            return number
    except (ValueError, OverflowError):
        pass
    raise InvalidCursor(InvalidCursor.__doc__)
