"""Cells of a CSV file, its lines and its name. Pure."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from query_api.calendar import Days

# OWASP's list of what makes a spreadsheet calculate, with the full-width forms, also behind spaces and invisible marks.
_FORMULA = re.compile("(?:[^\\S\t\r\n]|[\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff])*[=+\\-@\t\r\n\0＝＋－＠]")

# An id that begins with one of +-@ only shows a wrong value, unless it calls a function, a program (DDE) or another sheet.
_CALLS = re.compile(r"[(|!\[（｜！［]")
_ANY_SIGN = re.compile("[+\\-@＋－＠]")

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._+-]")
_NAMED_UP_TO = 60  # characters: a name of 255 is what file systems take

LINE_END = b"\r\n"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Without it, Excel takes a UTF-8 file for one of the machine's old code page."""


def guard(text: str) -> str:
    """`text` so that no spreadsheet takes it for a formula: a dangerous one gets a leading apostrophe.

    For texts only. A number is written by us, and an apostrophe would make a negative one a text.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def guard_id(text: str) -> str:
    """`text` as it is, so that it can be joined with, unless a spreadsheet would run it as a formula that does something.

    `unguard_id` gives back the id: an id that looks like a guarded one gets an apostrophe too.
    """
    return f"'{text}" if _runs(text.lstrip("'")) else text


def unguard_id(cell: str) -> str:
    """The id that `guard_id` made a cell of."""
    return cell[1:] if cell[:1] == "'" and _runs(cell.lstrip("'")) else cell


def _runs(text: str) -> bool:
    sign = _FORMULA.match(text)
    return sign is not None and (_ANY_SIGN.fullmatch(sign[0][-1]) is None or _CALLS.search(text) is not None)


def text_cell(text: str | None) -> str | None:
    """A guarded text, or None for an empty cell. Postgres writes such cells, and ends lines with a bare line feed."""
    return guard(text.replace("\r\n", "\n")) if text else None


def id_cell(text: str | None) -> str | None:
    """An id as a cell, or None for an empty one."""
    return guard_id(text) if text else None


def end_lines(data: bytes) -> bytes:
    """Lines as RFC 4180 ends them, where Postgres ended them. No text of ours holds a line feed: the schemas refuse it."""
    return data.replace(b"\n", LINE_END)


def write_lines(lines: Iterable[Iterable[str | int | None]]) -> bytes:
    """Lines of RFC 4180; None is an empty cell."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerows(lines)
    return buffer.getvalue().encode()


def file_name(organization: str, days: Days, *what: str | None) -> str:
    """The same name for the same question, in ASCII: whose, which days, what, and each filter that leaves usage out."""
    parts = [organization, f"{days.first}", f"{days.last}", *filter(None, what)]
    return "_".join(["flexcredits", *(_NOT_IN_NAMES.sub("-", part) for part in parts)]) + ".csv"


def surfaces_in_name(surfaces: Sequence[str] | None) -> str | None:
    """The filter as a part of a file's name; many of them as their number."""
    if surfaces is None:
        return None
    named = sorted({surface or "none" for surface in surfaces})
    text = "+".join(named)
    return f"surface-{text}" if len(text) <= _NAMED_UP_TO else f"{len(named)}-surfaces"
