"""Pages of table rows with cursors, such that no row is lost between pages. Pure."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Generic, NamedTuple, TypeVar

RowT = TypeVar("RowT")
Order = Callable[[RowT], tuple[int, str, str, str]]
"""The sort key of a row: negative credits, name, id and kind."""


class InvalidPosition(Exception):
    """The text is not a cursor."""


class RowPosition(NamedTuple):
    """Position of a row in the sort order; written as a cursor."""

    less_credits: int  # negative, so that most credits sort first
    name: str
    id: str
    kind: str
    sent: str  # digest of the set of rows sent so far, including this one


class Page(NamedTuple, Generic[RowT]):
    rows: Sequence[RowT]
    place: RowPosition | None
    """Position of the last row, if more rows follow."""
    moved: bool
    """The set of rows before the position has changed, so this is the first page again."""


def cut_page(rows: Sequence[RowT], after: RowPosition | None, limit: int | None, in_order: Order[RowT]) -> Page[RowT]:
    """At most `limit` of the sorted rows after a position.

    Newly counted usage may move a row from after the position to before it, where no later page would show it. So the
    position contains a digest of the rows sent; if other rows are before it now, paging starts again.
    """
    begin = 0 if after is None else bisect_right(rows, after[:4], key=in_order)
    moved = after is not None and digest_rows(map(in_order, rows[:begin])) != after.sent
    if moved:
        begin = 0
    page = rows[begin:] if limit is None else rows[begin : begin + limit]
    end = begin + len(page)
    place = None
    if end < len(rows):
        place = RowPosition(*in_order(page[-1]), digest_rows(map(in_order, rows[:end])))
    return Page(page, place, moved)


def digest_rows(rows: Iterable[tuple[int, str, str, str]]) -> str:
    """Digest of the set of rows, given by their order, independent of credits and names."""
    return blake2b(
        json.dumps(sorted((kind, row_id) for _, _, row_id, kind in rows)).encode(), digest_size=16
    ).hexdigest()


def write_position(place: RowPosition) -> str:
    """Opaque to clients."""
    return urlsafe_b64encode(json.dumps(place).encode()).rstrip(b"=").decode()


def read_position(text: str) -> RowPosition:
    """Raises InvalidPlace for what write_place never wrote."""
    try:
        place = RowPosition(*json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4))))
        # Accept only text that encodes to itself.
        if [type(value) for value in place] == [int, str, str, str, str] and write_position(place) == text:
            return place
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidPosition(InvalidPosition.__doc__)
