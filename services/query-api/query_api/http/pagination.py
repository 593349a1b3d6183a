"""Pages of a history, newest first, with cursors."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from query_api.http.problems import invalid_parameter

Numbered = TypeVar("Numbered")


class InvalidCursor(Exception):
    """The text is not a cursor."""


class HistoryQuery(BaseModel):
    """A page of a history, newest first."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200)
    before: str | None = Field(None, description="`next` of the previous response, to continue after it.")

    def read_before(self) -> int | None:
        """The id of the row before which the page begins. Raises ApiProblem."""
        try:
            return None if self.before is None else read_cursor(self.before)
        except InvalidCursor:
            raise invalid_parameter("before", "must be `next` of a previous response") from None


def cut_history(
    rows: Sequence[Numbered], limit: int, number_of: Callable[[Numbered], int]
) -> tuple[Sequence[Numbered], str | None]:
    """The first `limit` rows, and the cursor of the last one if more follow. Pass `limit` + 1 rows, newest first."""
    page = rows[:limit]
    return page, write_cursor(number_of(page[-1])) if len(rows) > limit else None


def write_cursor(number: int) -> str:
    """Opaque to clients, so that the implementation can change."""
    return urlsafe_b64encode(number.to_bytes(8, signed=True)).rstrip(b"=").decode()


def read_cursor(text: str) -> int:
    """The id of the row before which a page begins. Raises InvalidCursor."""
    try:
        number = int.from_bytes(urlsafe_b64decode(text + "="))
        # b64decode ignores invalid characters and extra bits, so accept only text that encodes to itself.
        if number > 0 and write_cursor(number) == text:
            return number
    except (ValueError, OverflowError):
        pass
    raise InvalidCursor(InvalidCursor.__doc__)
