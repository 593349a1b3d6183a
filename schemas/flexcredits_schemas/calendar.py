"""Local days of an organization: the day in which usage counts, and the instant at which a day begins. Pure.

The aggregator writes days by these rules; the query API and the alerter read days by the same rules.
"""

from datetime import UTC, date, datetime, time
from functools import lru_cache

from flexcredits_schemas.zones import zone_of

EPOCH = date(1970, 1, 1)
QUARTER_S = 900
"""A quarter of an hour. Every zone's offset is a multiple of it, so a quarter lies in exactly one local day."""
_EPOCH_ORDINAL = EPOCH.toordinal()


@lru_cache(maxsize=200_000)
def local_day(quarter: int, time_zone: str) -> int:
    """Local day (days since 1970) of the quarter of an hour that begins `quarter` * 900 s after the epoch, in an IANA zone."""
    instant = datetime.fromtimestamp(quarter * QUARTER_S, UTC).astimezone(zone_of(time_zone))
    return instant.toordinal() - _EPOCH_ORDINAL


def midnight(day: date, time_zone: str | None) -> datetime:
    """The instant, in UTC, at which a day begins in a zone. At the limits of `datetime` it is UTC's day. Never raises."""
    try:
        # Where clocks skip midnight, fold 0 still gives the instant at which the day begins.
        return datetime.combine(day, time(), zone_of(time_zone)).astimezone(UTC)
    except OverflowError:
        return datetime.combine(day, time(), UTC)


def local_date(instant: datetime, time_zone: str | None) -> date:
    """The local date of a zone at an instant. At the limits of `datetime` it is UTC's date. Never raises."""
    try:
        return instant.astimezone(zone_of(time_zone)).date()
    except OverflowError:
        return instant.date()
