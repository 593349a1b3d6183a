"""Pages of a history, newest first, and the cursor at which the next one goes on."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from query_api.http.problems import invalid_parameter

Numbered = TypeVar("Numbered")


class InvalidCursor(Exception):
    """A text that was never the cursor of a page."""


class HistoryQuery(BaseModel):
    """Which page of a history that goes back from now."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200)
    before: str | None = Field(None, description="`next` of a previous answer: go on where that one ended.")

    def read_before(self) -> int | None:
        """The number of the row before which the page begins. Raises ApiProblem."""
        try:
            return None if self.before is None else read_cursor(self.before)
        except InvalidCursor:
            raise invalid_parameter("before", "must be `next` of a previous answer") from None


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
