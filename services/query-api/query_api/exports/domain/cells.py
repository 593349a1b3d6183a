"""CSV cells, lines and file names. Pure."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from query_api.calendar import Days

# Formula triggers (OWASP: CSV injection) with full-width forms, also after spaces and invisible characters.
_FORMULA = re.compile("(?:[^\\S\t\r\n]|[\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff])*[=+\\-@\t\r\n\0＝＋－＠]")

# An id that begins with one of +-@ is harmless unless it calls a function, a program (DDE) or another sheet.
_CALLS = re.compile(r"[(|!\[（｜！［]")
_ANY_SIGN = re.compile("[+\\-@＋－＠]")

_LEADING = "\x0b\x0c\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f\u2060\u2066-\u2069\u3000\ufeff"


class CellPatterns(NamedTuple):
    """The same rules as regular expressions of Postgres, for cells that it writes.

    A text needs an apostrophe if it matches `formula`. An id needs one if it, without leading apostrophes, matches `starts`, or
    both `signs` and `calls`.
    """

    formula: str = f"^[{_LEADING}]*[=+@\t\r\n＝＋＠－-]"
    starts: str = f"^[{_LEADING}]*[=\t\r\n＝]"
    signs: str = f"^[{_LEADING}]*[+@＋＠－-]"
    calls: str = r"[(|!\[（｜！［]"


_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._+-]")
_NAMED_UP_TO = 60  # characters; file systems limit names to 255 bytes

LINE_END = b"\r\n"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Without it, Excel reads a UTF-8 file in a legacy code page."""


def guard(text: str) -> str:
    """Escape `text` for spreadsheets: a leading apostrophe if it could be a formula.

    For texts only: numbers are ours, and an apostrophe would turn negative ones into text.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def guard_id(text: str) -> str:
    """Escape an id only if a spreadsheet would execute it, so that other ids can be used in joins.

    Reversible by `unguard_id`: an id that looks like an escaped one gets an apostrophe too.
    """
    return f"'{text}" if _runs(text.lstrip("'")) else text


def unguard_id(cell: str) -> str:
    """The id from a cell of `guard_id`."""
    return cell[1:] if cell[:1] == "'" and _runs(cell.lstrip("'")) else cell


def _runs(text: str) -> bool:
    sign = _FORMULA.match(text)
    return sign is not None and (_ANY_SIGN.fullmatch(sign[0][-1]) is None or _CALLS.search(text) is not None)


def text_cell(text: str | None) -> str | None:
    """An escaped text, or None for an empty cell. CRLF becomes LF, as in the lines that Postgres writes."""
    return guard(text.replace("\r\n", "\n")) if text else None


def id_cell(text: str | None) -> str | None:
    """An id as a cell, or None for an empty one."""
    return guard_id(text) if text else None


class CellRules(NamedTuple):
    """How texts and ids become cells."""

    text: Callable[[str | None], str | None]
    id: Callable[[str | None], str | None]
    patterns: CellPatterns


GUARDED = CellRules(text_cell, id_cell, CellPatterns())
"""For CSV files, which people open in spreadsheets."""

_NEVER = "$."
EXACT = CellRules(lambda text: text or None, lambda text: text or None, CellPatterns(_NEVER, _NEVER, _NEVER, _NEVER))
"""For Parquet, whose texts no program executes."""


def end_lines(data: bytes) -> bytes:
    """Replace line ends of Postgres (LF) by CRLF (RFC 4180). No cell contains LF: the event schemas reject it."""
    return data.replace(b"\n", LINE_END)


def header_line(columns: Iterable[str], *, bom: bool = False) -> bytes:
    """Names in quotation marks: programs that guess whether a file has quoted cells see it in the first line.

    After a byte order mark the first name has none: strict readers take the mark for the beginning of an unquoted cell.
    """
    first, *others = columns
    cells = [first if bom else f'"{first}"', *(f'"{column}"' for column in others)]
    return (BYTE_ORDER_MARK if bom else b"") + ",".join(cells).encode() + LINE_END


def write_lines(lines: Iterable[Iterable[str | int | None]]) -> bytes:
    """Lines of RFC 4180; None is an empty cell."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerows(lines)
    return buffer.getvalue().encode()


def file_name(organization: str, days: Days, *what: str | None, kind: str = "csv") -> str:
    """A deterministic ASCII name: organization, days, content, and each filter that excludes usage."""
    parts = [organization, f"{days.first}", f"{days.last}", *filter(None, what)]
    return "_".join(["flexcredits", *(_NOT_IN_NAMES.sub("-", part) for part in parts)]) + f".{kind}"


def surfaces_in_name(surfaces: Sequence[str] | None) -> str | None:
    """The surface filter for the file name; if it is long, only the number of surfaces."""
    if surfaces is None:
        return None
    named = sorted({surface or "none" for surface in surfaces})
    text = "+".join(named)
    return f"surface-{text}" if len(text) <= _NAMED_UP_TO else f"{len(named)}-surfaces"
