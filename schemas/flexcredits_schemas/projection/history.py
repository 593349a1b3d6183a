"""What a projection starts from: complete days, and the part of today that is over. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from hashlib import blake2b

from flexcredits_schemas.calendar import QUARTER_S, local_date, midnight
from flexcredits_schemas.zones import zone_of

DELAY_MAX = timedelta(hours=1)
"""Shortly after midnight, totals that are complete to shortly before it are complete enough for the day that ended."""


def complete_until(complete_to: datetime | None, time_zone: str | None, today: date) -> datetime | None:
    """The instant up to which the days before today and the part of today are complete, by quarters of an hour. None: not
    all days before today are complete."""
    begins_at = midnight(today, time_zone)
    if complete_to is None or complete_to < begins_at - DELAY_MAX:
        return None
    return max(
        begins_at, begins_at + (complete_to - begins_at) // timedelta(seconds=QUARTER_S) * timedelta(seconds=QUARTER_S)
    )


def days_in_a_row(used: Mapping[date, int], first: date, today: date) -> list[int | None]:
    """Micro-credits of each day from `first` to the day before today."""
    return [used.get(first + timedelta(days=number), 0) for number in range((today - first).days)]


def usual_day(today: date, time_zone: str | None) -> tuple[datetime, datetime]:
    """The instants between which the same weekday of the last week lies."""
    day = today - timedelta(days=7)
    return midnight(day, time_zone), midnight(day + timedelta(days=1), time_zone)


def elapsed_part(at: datetime, today: date, time_zone: str | None, quarters: Sequence[tuple[datetime, int]]) -> float:
    """The share of today's use that is usually reached at the instant `at`: by the quarters of an hour (when they begin, and
    micro-credits) of the same weekday, of a day without use by its time. Quarters are compared by local time, because days on
    which clocks change have 23 or 25 hours."""
    begins_at, ends_at = midnight(today, time_zone), midnight(today + timedelta(days=1), time_zone)
    total = sum(max(credits, 0) for _, credits in quarters)
    if total <= 0 or not begins_at < at < ends_at:
        return (at - begins_at) / (ends_at - begins_at)
    zone = zone_of(time_zone)
    time = at.astimezone(zone).time()
    return sum(max(credits, 0) for begins, credits in quarters if begins.astimezone(zone).time() < time) / total


def seed_of(organization: str, product: str | None, agent: str | None, at: datetime, time_zone: str | None) -> int:
    """The same organization, scope and day of the watermark always draw the same paths."""
    text = repr((organization, product, agent, local_date(at, time_zone)))
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest())
