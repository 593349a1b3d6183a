"""What responses with tables share: changes, and cursors of pages."""

from flexcredits_schemas.credits import decimal_text

from query_api.http.problems import invalid_parameter
from query_api.usage.breakdown.domain.cursor import InvalidPosition, RowPosition, read_position
from query_api.usage.breakdown.domain.rows import change


def change_text(now: int, before: int) -> str | None:
    changed = change(now, before)
    return None if changed is None else decimal_text(changed)


def read_after(cursor: str | None) -> RowPosition | None:
    try:
        return None if cursor is None else read_position(cursor)
    except InvalidPosition:
        raise invalid_parameter("after", "must be `next` of a previous response") from None
