"""Projects a series to the end of a period: amounts, the day on which grants run out, and what expires unused."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from runtime.forecast.model import DAYS_MIN, Amounts, Band, Dates, Grant, Projection, Refusal, Series
from runtime.forecast.months import factors_of, month_factors
from runtime.forecast.paths import Paths, draw_paths
from runtime.forecast.weeks import Floats

DAYS_MAX = 280
"""Older days are not read: they change neither the run rate nor the width of the band."""
HORIZON_DAYS_MAX = 3660
"""Ten years: for a period that ends later, the projection ends there."""
QUANTILES = (0.1, 0.5, 0.9)


def project(
    series: Series, *, until: date, used_micro: int, grants: Sequence[Grant] = (), seed: int = 0
) -> Projection | Refusal:
    """Project from today to the day before `until`.

    `used_micro` is what the period has used so far, with today's part, and `grants` are what is left now. The same arguments
    always give the same answer. Method: docs/forecast.md.
    """
    days = list(series.micro)
    today = series.first_day + timedelta(days=len(days))
    if until <= today:
        return Refusal("period_over", "The period is over.")
    if None in days:
        missing = series.first_day + timedelta(days=days.index(None))
        return Refusal("days_missing", f"The amount of {missing} is not known.")
    known = np.array(days[-DAYS_MAX:], np.float64)
    used = np.flatnonzero(known)
    known = known[used[0] :] if len(used) else known[:0]
    first_day = today - timedelta(days=len(known))
    if len(known) < DAYS_MIN:
        return Refusal(
            "too_few_days", f"A projection needs {DAYS_MIN} complete days since the first use; there are {len(known)}."
        )
    count = min((until - today).days, HORIZON_DAYS_MAX)
    mean = max(float(np.abs(known).mean()), 1.0)
    by_place = month_factors(first_day, known)
    known = np.maximum(known / mean, 0.0) / factors_of(first_day, len(known), by_place)
    paths = draw_paths(known, count, seed)
    amounts = paths.amounts * factors_of(today, count, by_place)
    amounts[:, 0] = rest_of_today(amounts[:, 0], series.today_micro / mean, series.elapsed)
    return answer(paths, np.cumsum(amounts, axis=1), mean, today, used_micro, grants)


def rest_of_today(whole: Floats, so_far: float, elapsed: float) -> Floats:
    """What is still to come today: the projected part, moved towards today's own pace the more of the day is over."""
    elapsed = min(max(elapsed, 0.0), 1.0)
    pace = max(so_far, 0.0) / elapsed if elapsed > 0 else 0.0
    return np.asarray((1 - elapsed) * ((1 - elapsed) * whole + elapsed * pace))


def answer(paths: Paths, total: Floats, mean: float, today: date, used: int, grants: Sequence[Grant]) -> Projection:
    count = total.shape[1]
    band = Band(today, *([used + micro(value, mean) for value in line] for line in pick(total)))
    run_out = probability = unused = None
    if grants:
        places, lost = exhaust(total, [(grant.micro / mean, days_left(grant, today, count)) for grant in grants])
        run_out = Dates(*(day_at(int(place), today, count) for place in pick(places)))
        probability = float((places == count).mean())
        expiring = [grant.micro for grant in grants if days_left(grant, today, count) is not None]
        unused = Amounts(*(unused_of(sum(expiring), float(value), mean) for value in pick(lost)))
    ends = Amounts(*(line[-1] for line in band[1:]))
    return Projection(ends, run_out, probability, unused, band, paths.coverage, paths.origins, paths.weeks)


def micro(value: float, mean: float) -> int:
    return round(float(value) * mean)


def unused_of(expiring: int, lost: float, mean: float) -> int:
    """The amount that expires minus the projected use of it, so that what is not projected stays exact."""
    return max(0, expiring - micro(expiring / mean - lost, mean)) if lost > 0 else 0


def days_left(grant: Grant, today: date, count: int) -> int | None:
    """Days on which the grant can be used, from today. None: after the projection ends."""
    days = max(0, (grant.expires_on - today).days)
    return days if days <= count else None


def day_at(place: int, today: date, count: int) -> date | None:
    return today + timedelta(days=place) if place < count else None


def pick(values: Floats) -> Floats:
    """The deciles 10, 50 and 90, each a value that occurs, so that they can be dates."""
    return np.sort(values, axis=0)[[rank(quantile, len(values)) for quantile in QUANTILES]]


def rank(quantile: float, count: int) -> int:
    return max(0, int(np.ceil(quantile * count)) - 1)


def exhaust(total: Floats, grants: Sequence[tuple[float, int | None]]) -> tuple[Floats, Floats]:
    """For each path: the index of the day on which nothing is left (the number of days: none), and what expires unused.

    `total` has what each path has used at the end of each day; `grants` have an amount, and the number of days until they
    expire (None: later than the last day). What expires first is used first.
    """
    count = total.shape[1]
    given, due, lost = sum(amount for amount, _ in grants), 0.0, np.zeros(len(total))
    left = np.full(total.shape, given)
    for amount, expires in sorted(grants, key=lambda grant: count + 1 if grant[1] is None else grant[1]):
        if expires is None:
            continue
        due += amount
        used = total[:, expires - 1] if expires else np.zeros(len(total))
        lost = np.maximum(lost, due - used)
        left[:, expires:] = given - lost[:, None]
    is_out = total >= left
    return np.where(is_out.any(axis=1), is_out.argmax(axis=1), count), lost
