"""Distribution of usage over time: seasons, weekdays, hours, growth, spikes. Functions of the date alone. Pure."""

import math
from bisect import bisect
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from random import Random
from statistics import NormalDist

from flexcredits_schemas.calendar import local_date, midnight

from flexcredits_cli.generator.company.events import DAY_MS, entropy_of, milliseconds_of

SEASON_DAYS = 91
"""Length of a season: agents, launched features and categories change every 13 weeks, counted from the year 1.

The dates are absolute, so that a demo that starts tomorrow generates the same history for yesterday.
"""

WEEKDAYS = (1.0, 1.12, 1.08, 1.0, 0.85, 0.25, 0.2)
HOURS = (1, 1, 1, 1, 1, 2, 4, 10, 30, 55, 62, 58, 40, 48, 60, 58, 50, 34, 18, 10, 7, 5, 3, 2)
MONTHLY_GROWTH = 1.025
SPIKE_EVERY_DAYS = 21

_HOURS_CUMULATED = list(accumulate(HOURS))

AMOUNTS = [round(1000 * math.exp(0.85 * NormalDist().inv_cdf((step + 0.5) / 1024))) for step in range(1024)]
"""Thousandths of a median: 1,024 quantiles of a log-normal distribution, so that drawing an amount needs no float."""


def season_of(day: date) -> int:
    return day.toordinal() // SEASON_DAYS


def day_of_season(season: int, day: int = 0) -> date:
    return date.fromordinal(season * SEASON_DAYS + day)


def busyness(day: date) -> float:
    """A day's usage relative to a Monday at the beginning of 2026: weekday times growth; growth ends after 3 years."""
    months = (day - date(2026, 1, 1)).days / 30.44
    return WEEKDAYS[day.weekday()] * float(MONTHLY_GROWTH ** max(-36.0, min(36.0, months)))


def is_spike(seed: int, company: str, day: date) -> bool:
    """Whether the day is a spike: a Tuesday, Wednesday or Thursday of every third week, exactly one in any 21 days."""
    entropy = entropy_of(seed, company, "spike")
    return day.toordinal() % SPIKE_EVERY_DAYS == 7 * (entropy % 3) + 2 + entropy // 3 % 3  # ordinal 2 was a Tuesday


def bounds(day: date, time_zone: str) -> tuple[int, int]:
    """Begin and end of a local day in milliseconds since 1970; it has 23, 24 or 25 hours."""
    begin, end = (midnight(at, time_zone) for at in (day, day + timedelta(days=1)))
    return milliseconds_of(begin), milliseconds_of(end)


def draw_time(chance: Random, begin: int, end: int) -> int:
    """A random instant between `begin` and `end`, distributed like working hours."""
    hour = bisect(_HOURS_CUMULATED, chance.random() * _HOURS_CUMULATED[-1])
    within = int((hour + chance.random()) / 24 * DAY_MS)
    return begin + within * (end - begin) // DAY_MS


def local_day(milliseconds: int, time_zone: str) -> date:
    return local_date(datetime.fromtimestamp(milliseconds // 1000, UTC), time_zone)
