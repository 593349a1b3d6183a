"""Projects a series to the end of a period: amounts, the day on which nothing is left, and what expires unused.

In two steps: an outlook from the days that are over, which is the same all day, and an answer from what today has used so far.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from runtime.forecast.model import DAYS_MIN, Amounts, Band, Dates, Projection, Refusal, Series
from runtime.forecast.months import factors_of, month_factors
from runtime.forecast.paths import draw_paths
from runtime.forecast.weeks import Floats

DAYS_MAX = 280
"""Older days are not read: they change neither the run rate nor the width of the band."""
HORIZON_DAYS_MAX = 1096
"""Three years: for a period that ends later, the projection ends there. What is known of 280 days says nothing beyond."""
QUIET = 0.05
"""Of the mean day: the days before the first one with so much are a trial, not use."""
QUANTILES = (0.1, 0.5, 0.9)


class Outlook(NamedTuple):
    """What the next days will use, without what today's own pace adds: in multiples of `mean` micro-units."""

    today: date
    elapsed: float
    mean: float
    lines: Floats
    """The deciles 10, 50 and 90 of the sum to the end of each day: (3, days)."""
    ends: Floats
    """The sum to the end of the last day in each path, ascending."""
    reaches_end: bool
    """Whether the last day is the last one of the period."""
    coverage: float | None
    origins: int
    weeks: int


def project(
    series: Series, *, until: date, used_micro: int, left_micro: int | None = None, seed: int = 0
) -> Projection | Refusal:
    """Project from today to the day before `until`.

    `used_micro` is what the period has used so far, with today's part, and `left_micro` is left to use until it ends. The same
    arguments always give the same answer. Method: docs/forecast.md.
    """
    outlook = foresee(series.first_day, series.micro, until=until, elapsed=series.elapsed, seed=seed)
    return (
        outlook
        if isinstance(outlook, Refusal)
        else project_outlook(outlook, series.today_micro, used_micro, left_micro)
    )


def foresee(
    first_day: date, micro: Sequence[int | None], *, until: date, elapsed: float, seed: int = 0
) -> Outlook | Refusal:
    """The outlook from complete days in a row. Costs far more than `project_outlook`."""
    today = first_day + timedelta(days=len(micro))
    if until <= today:
        return Refusal("period_over", "The period is over.")
    if None in micro:
        missing = first_day + timedelta(days=micro.index(None))
        return Refusal("days_missing", f"The amount of {missing} is not known.")
    known = begin_with_use(np.array(micro[-DAYS_MAX:], np.float64))
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
    elapsed = min(max(elapsed, 0.0), 1.0)
    amounts[:, 0] *= (1 - elapsed) ** 2
    total = np.sort(np.cumsum(amounts, axis=1, out=amounts), axis=0)
    lines = total[[rank(quantile, len(total)) for quantile in QUANTILES]]
    reaches_end = count == (until - today).days
    return Outlook(
        today, elapsed, mean, lines, total[:, -1].copy(), reaches_end, paths.coverage, paths.origins, paths.weeks
    )


def begin_with_use(days: Floats) -> Floats:
    """Without the quiet days at the beginning, such as those of a trial."""
    if not days.any():
        return days[:0]
    return days[int(np.argmax(days > QUIET * np.abs(days).mean())) :]


def rank(quantile: float, count: int) -> int:
    """Of a value that occurs, as opposed to one in between."""
    return max(0, int(np.ceil(quantile * count)) - 1)


def project_outlook(outlook: Outlook, today_micro: int, used: int, left: int | None) -> Projection:
    """The projection at the time of day of the outlook. Everything follows from the same lines: the amount runs out where a line
    reaches what is left."""
    pace = pace_of_today(today_micro, outlook.elapsed)
    p10, p50, p90 = [[used + round(value) for value in line] for line in (outlook.lines * outlook.mean + pace).tolist()]
    run_out = probability = unused = None
    if left is not None:
        run_out = Dates(*(day_of(line, used + left, outlook.today) for line in (p90, p50, p10)))
        probability = float((np.rint(outlook.ends * outlook.mean + pace) < left).mean())
        if outlook.reaches_end:
            unused = Amounts(*(max(0, used + left - line[-1]) for line in (p90, p50, p10)))
    return Projection(
        Amounts(p10[-1], p50[-1], p90[-1]), run_out, probability, unused, Band(outlook.today, p10, p50, p90),
        outlook.coverage, outlook.origins, outlook.weeks,
    )  # fmt: skip


def pace_of_today(so_far: float, elapsed: float) -> float:
    """What today's own pace adds to the projected rest of today. The more of the day is over, the less of the day's
    projection and the more of its pace is still to come: (1 - e) * ((1 - e) * projected + e * (so_far / e))."""
    return max(so_far, 0.0) * (1 - elapsed) if elapsed > 0 else 0.0


def day_of(line: Sequence[int], amount: int, today: date) -> date | None:
    """The day by whose end the rising line has reached the amount. None: it does not."""
    place = bisect_left(line, amount)
    return today + timedelta(days=place) if place < len(line) else None
