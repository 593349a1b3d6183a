"""Time zones by the rules of the locked `tzdata` package only, so that a log gives the same days on each machine.

Only this module uses `zoneinfo`, because by default it prefers the machine's files.
"""

import json
import zoneinfo
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import tzdata  # type: ignore[import-untyped]

zoneinfo.reset_tzpath(())
zoneinfo.ZoneInfo.clear_cache()

TZ_VERSION: str = tzdata.IANA_VERSION
"""Release of the tz database in use, such as 2026f."""

_document = json.loads(files("flexcredits_schemas").joinpath("time-zones.json").read_text())
ACCEPTED_ZONES: frozenset[str] = frozenset(_document["zones"])
"""Names that an organization may have. Python's tzdata, PostgreSQL and browsers support all of them."""
ZONE_LINKS: dict[str, str] = _document["links"]
"""Legacy names of tz, with the accepted name that replaces each."""

WEEK_S = 604_800  # no zone changes its clocks twice within one
RULES_FROM, RULES_TO = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2024, 2040))
"""Compared range: no usage is older, and rules for later days may still change."""


def canonical_zone(name: str) -> str | None:
    """The accepted name: `name` itself, or the target of a legacy link such as US/Pacific. None: not accepted."""
    return name if name in ACCEPTED_ZONES else ZONE_LINKS.get(name)


@lru_cache(maxsize=2_000)
def find_zone(name: str) -> tzinfo | None:
    """The rules of any name in the locked tzdata, accepted or not; None if tzdata does not have it."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def offset_at(name: str, second: int) -> int:
    """Seconds east of Greenwich in a zone, at a second since 1970."""
    offset = datetime.fromtimestamp(second, zone_of(name)).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


@lru_cache(maxsize=2_000)
def changes_of(name: str) -> tuple[int, ...]:
    """A zone's rules from 2024 to 2040, alternating: a second since 1970, the offset from then on, the next second, ..."""
    changes = [RULES_FROM, offset_at(name, RULES_FROM)]
    for begin in range(RULES_FROM, RULES_TO, WEEK_S):
        if offset_at(name, begin + WEEK_S) != changes[-1]:
            before, after = begin, begin + WEEK_S
            while after - before > 1:
                middle = (before + after) // 2
                before, after = (middle, after) if offset_at(name, middle) == changes[-1] else (before, middle)
            changes += [after, offset_at(name, after)]
    return tuple(changes)


def differ_since(some: Sequence[int], others: Sequence[int]) -> int | None:
    """The first second at which two zones' rules (of changes_of) have different offsets; None: never."""
    for second in sorted({*some[::2], *others[::2]}):
        if _offset_in(some, second) != _offset_in(others, second):
            return second
    return None


def _offset_in(changes: Sequence[int], second: int) -> int:
    return changes[2 * bisect_right(changes[::2], second) - 1]


def zones_differing_in(folder: Path, instants: Sequence[int]) -> list[str]:
    """Accepted zones for which a folder of TZif files lacks the name, or has other offsets at these seconds since 1970."""
    return [
        name
        for name in sorted(ACCEPTED_ZONES)
        if _offsets_in(folder / name, instants) != [offset_at(name, at) for at in instants]
    ]


def _offsets_in(file: Path, instants: Sequence[int]) -> list[int]:
    try:
        with file.open("rb") as stream:
            rules = zoneinfo.ZoneInfo.from_file(stream)
    except (OSError, ValueError):
        return []
    offsets = [datetime.fromtimestamp(at, rules).utcoffset() for at in instants]
    return [0 if offset is None else int(offset.total_seconds()) for offset in offsets]


def zone_of(name: str | None) -> tzinfo:
    """The rules of a zone; UTC without a name, and for an unknown name. Never raises."""
    return (find_zone(name) if name else None) or UTC
