"""Time zones, by the rules of the locked `tzdata` package alone: the same log gives the same days on any machine.

Only this module uses `zoneinfo`, which would prefer the machine's files.
"""

import json
import zoneinfo
from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache
from importlib.resources import files

import tzdata  # type: ignore[import-untyped]

zoneinfo.reset_tzpath(())
zoneinfo.ZoneInfo.clear_cache()

TZ_VERSION: str = tzdata.IANA_VERSION
"""Release of the tz database that counts, such as 2026f."""

_document = json.loads(files("flexcredits_schemas").joinpath("time-zones.json").read_text())
ACCEPTED_ZONES: frozenset[str] = frozenset(_document["zones"])
"""Names that an organization may have: Python's tzdata, PostgreSQL and browsers know them all."""
ZONE_LINKS: dict[str, str] = _document["links"]
"""Legacy names of tz, each with the accepted name that replaces it."""


def canonical_zone(name: str) -> str | None:
    """The accepted name for `name`: itself, or the target of a legacy link such as US/Pacific. None: not accepted."""
    return name if name in ACCEPTED_ZONES else ZONE_LINKS.get(name)


@lru_cache(maxsize=2_000)
def find_zone(name: str) -> tzinfo | None:
    """The rules of a name that the locked tzdata has, accepted or not; None for any other."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def zone_of(name: str | None) -> tzinfo:
    """The rules by which to show a zone; UTC without a name, and for one that nobody knows. Never raises."""
    return (find_zone(name) if name else None) or UTC


def midnight(day: date, time_zone: str | None) -> datetime:
    """The instant, in UTC, at which a day begins in a zone. At the calendar's edges UTC's day. Never raises."""
    try:
        # Where clocks skip midnight, fold 0 still gives the instant at which the day begins.
        return datetime.combine(day, time(), zone_of(time_zone)).astimezone(UTC)
    except OverflowError:
        return datetime.combine(day, time(), UTC)


def local_date(instant: datetime, time_zone: str | None) -> date:
    """The date on the wall of a zone at an instant. At the calendar's edges UTC's date. Never raises."""
    try:
        return instant.astimezone(zone_of(time_zone)).date()
    except OverflowError:
        return instant.date()
