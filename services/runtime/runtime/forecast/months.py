"""Days at the beginning and end of a month that are regularly unlike others of their weekday, such as month-end processing."""

from datetime import date, timedelta

import numpy as np

from runtime.forecast.weeks import WEEK, Floats

DAYS_EACH = 3
"""Days of each end of a month that are compared."""
MONTHS_MIN = 3
"""So many months must agree."""
NOTICEABLE = 1.25
"""A day counts as unlike others if each of its months was so many times as large, or as small."""
SMALLEST = 0.05
"""Of a usual day: a place with less in one of its months is not compared. Nothing can be divided by days without use."""


def place_in_month(day: date) -> int | None:
    """-1 for the last day of a month, 1 for the first one; None in between."""
    to_end = ((day.replace(day=28) + timedelta(days=4)).replace(day=1) - day).days
    return -to_end if to_end <= DAYS_EACH else day.day if day.day <= DAYS_EACH else None


def month_factors(first_day: date, days: Floats) -> dict[int, float]:
    """Factor by place in the month, of places that are unlike the same weekdays around them in every month."""
    ratios: dict[int, list[float]] = {}
    for index in range(len(days)):
        place = place_in_month(first_day + timedelta(days=index))
        if place is None:
            continue
        around = [days[index + WEEK * away] for away in (-2, -1, 1, 2) if 0 <= index + WEEK * away < len(days)]
        if len(around) >= 2 and (usual := float(np.median(around))) > 0:
            ratios.setdefault(place, []).append(float(days[index]) / usual)
    return {
        place: float(np.median(seen))
        for place, seen in ratios.items()
        if len(seen) >= MONTHS_MIN
        and min(seen) >= SMALLEST
        and (min(seen) >= NOTICEABLE or max(seen) <= 1 / NOTICEABLE)
    }


def factors_of(first_day: date, count: int, by_place: dict[int, float]) -> Floats:
    """The factor of each of `count` days; most are 1."""
    if not by_place:
        return np.ones(count)
    places = (place_in_month(first_day + timedelta(days=index)) for index in range(count))
    return np.array([by_place.get(place, 1.0) if place is not None else 1.0 for place in places])
