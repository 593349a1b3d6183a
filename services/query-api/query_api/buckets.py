"""The buckets of a trend: a range in pieces of the organization's time, and whether their numbers have all come. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from query_api.periods import Days, split_at

Interval = Literal["15m", "hour", "day", "week", "month"]
BucketState = Literal["complete", "partial", "missing", "future"]

LIMIT_DAYS: Mapping[Interval, int] = {"15m": 3, "hour": 31, "day": 1_100, "week": 7_700, "month": 33_000}
"""The longest range that each interval is for: no answer has more than some 1,100 buckets."""
WITHIN_DAYS: tuple[Interval, ...] = ("15m", "hour")
YEARS = range(2000, 3000)
"""No usage lies outside of them, and all their instants can be computed with."""

_QUARTER = timedelta(minutes=15)


class Bucket(NamedTuple):
    """Half-open, between two UTC instants. `days` are those of the zone that it holds; None if it is a part of one."""

    start_at: datetime
    end_at: datetime
    days: Days | None


def default_interval(days: Days) -> Interval:
    """What is easy to read: up to some hundred buckets."""
    length = (days.last - days.first).days + 1
    if length <= 2:
        return "hour"
    if length <= 92:
        return "day"
    return "week" if length <= 400 else "month"


def cut_buckets(days: Days, interval: Interval, time_zone: str | None) -> list[Bucket]:
    """Buckets of a range within YEARS, in order and without a gap. Weeks begin on Mondays; those at the edges of the range are
    cut, as are months. An hour begins where the wall clock shows a full one, and where it is changed."""
    zone = ZoneInfo(time_zone or "UTC")
    if interval not in WITHIN_DAYS:
        return [Bucket(*_instants(piece, zone), piece) for piece in split_at(days, list(_first_days(days, interval)))]
    begin, end = _instants(days, zone)
    quarters = [begin + n * _QUARTER for n in range((end - begin) // _QUARTER)]
    starts = quarters
    if interval == "hour":
        hours = [_hour(at.astimezone(zone)) for at in quarters]
        starts = [at for at, hour, before in zip(quarters, hours, [None, *hours], strict=False) if hour != before]
    return [Bucket(start, following, None) for start, following in zip(starts, [*starts[1:], end], strict=True)]


def bucket_state(bucket: Bucket, now: datetime, complete_to: datetime | None, is_used: bool) -> BucketState:
    """Whether zero means that nothing was used. Clocks of products may run ahead a little, so a future can be used."""
    if complete_to is not None and bucket.end_at <= complete_to:
        return "complete"
    if is_used or (complete_to is not None and bucket.start_at < complete_to):
        return "partial"
    return "future" if bucket.start_at >= now else "missing"


def _first_days(days: Days, interval: Interval) -> Iterator[date]:
    for number in range(days.first.toordinal(), days.last.toordinal() + 1):
        day = date.fromordinal(number)
        if interval == "day" or (day.weekday() == 0 if interval == "week" else day.day == 1):
            yield day


def _hour(local: datetime) -> tuple[int, int, timedelta | None]:
    return local.day, local.hour, local.utcoffset()


def _instants(days: Days, zone: ZoneInfo) -> tuple[datetime, datetime]:
    # Where clocks skip midnight, fold 0 still gives the instant at which the day begins.
    begin, end = (datetime.combine(day, time(), zone) for day in (days.first, days.last + timedelta(days=1)))
    return begin.astimezone(UTC), end.astimezone(UTC)
