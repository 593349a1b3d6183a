"""Buckets of a trend in the organization's time zone, and whether their data is complete. Pure."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

from flexcredits_schemas.calendar import midnight
from flexcredits_schemas.zones import zone_of

from query_api.calendar import Days, month_of, split_at

Interval = Literal["15m", "hour", "day", "week", "month"]
BucketState = Literal["complete", "partial", "missing", "future"]

LIMIT_DAYS: Mapping[Interval, int] = {"15m": 3, "hour": 31, "day": 1_100, "week": 7_700, "month": 33_000}
"""Longest range for each interval, which limits a response to about 1,100 buckets."""
WITHIN_DAYS: tuple[Interval, ...] = ("15m", "hour")
YEARS = range(2000, 3000)
"""No usage is outside of these years, and datetime arithmetic works for all their instants."""

_QUARTER = timedelta(minutes=15)


class Bucket(NamedTuple):
    """Half-open, between two UTC instants. `days` are its days in the zone; None if it is shorter than a day."""

    start_at: datetime
    end_at: datetime
    days: Days | None


def default_interval(days: Days) -> Interval:
    """The default interval: about a hundred buckets at most."""
    length = (days.last - days.first).days + 1
    if length <= 2:
        return "hour"
    if length <= 92:
        return "day"
    return "week" if length <= 400 else "month"


def drawable_days(days: Days, today: date) -> Days:
    """Limit an implicit range, such as a credit period without an end, to what a trend can show."""
    length = (days.last - days.first).days + 1
    if days.first.year in YEARS and days.last.year in YEARS and length <= LIMIT_DAYS["month"]:
        return days
    first = max(days.first, date(YEARS[0], 1, 1))
    return Days(first, min(days.last, month_of(max(first, today)).last))


def cut_buckets(days: Days, interval: Interval, time_zone: str | None) -> list[Bucket]:
    """Buckets of a range within YEARS, in order and without gaps. Weeks begin on Mondays; weeks and months are cut at the edges
    of the range. Hours begin at full hours of local time, and where the UTC offset changes."""
    if interval not in WITHIN_DAYS:
        return [
            Bucket(*_instants(piece, time_zone), piece) for piece in split_at(days, list(_first_days(days, interval)))
        ]
    zone = zone_of(time_zone)
    begin, end = _instants(days, time_zone)
    quarters = [begin + n * _QUARTER for n in range((end - begin) // _QUARTER)]
    starts = quarters
    if interval == "hour":
        hours = [_hour(at.astimezone(zone)) for at in quarters]
        starts = [at for at, hour, before in zip(quarters, hours, [None, *hours], strict=False) if hour != before]
    return [Bucket(start, following, None) for start, following in zip(starts, [*starts[1:], end], strict=True)]


def bucket_state(bucket: Bucket, now: datetime, complete_to: datetime | None, is_used: bool) -> BucketState:
    """State of a bucket. A future bucket may have usage, because clocks of products may be ahead."""
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


def _instants(days: Days, time_zone: str | None) -> tuple[datetime, datetime]:
    return midnight(days.first, time_zone), midnight(days.last + timedelta(days=1), time_zone)
