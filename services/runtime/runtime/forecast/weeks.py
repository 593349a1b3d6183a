"""Weekly sums at many origins at once, and candidates that project them.

A week is seven days in a row up to an origin, so that the newest complete day always counts. Amounts are scaled to a mean of 1.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WEEK = 7
WINDOW = 8
"""Weeks that a run rate is taken from, at most. Four are enough; older ones no longer say how much is used now."""
SMALLEST = 0.002
"""Of the mean week: amounts below it count as this, so that logarithms exist."""
STEEPEST = 0.12
"""Of a trend's logarithm per week: an eighth more each week does not continue."""

MEDIAN_OF = 4
"""Weeks of which a candidate takes the median."""
DECAYS = (0.25, 0.55, 0.8, 1.0)
"""A week counts so many times as much as the week after it. 1: all alike."""
DAMPINGS = (0.0, 0.85, 0.97)
"""A week's growth is so many times that of the week before. 0: no trend."""
CANDIDATES = [(decay, damping) for damping in DAMPINGS for decay in (*DECAYS, None)]
"""None: the median of the last four weeks."""


class Candidates(NamedTuple):
    """For each origin and candidate: the run rate of a week, and its growth."""

    level: Floats
    """Shape (origins, candidates)."""
    growth: Floats
    """Of the logarithm per week; shape (origins,). Candidates damp it."""

    def weeks(self, count: int) -> Floats:
        """The projected sums of the next `count` weeks; shape (origins, candidates, count)."""
        steps = np.array([damped_steps(damping, count) for _, damping in CANDIDATES])
        return np.asarray(self.level[:, :, None] * np.exp(self.growth[:, None, None] * steps), np.float64)


def damped_steps(damping: float, count: int) -> Floats:
    """How many weeks of full growth have come after 1, 2 ... `count` weeks."""
    return np.cumsum(damping ** np.arange(1, count + 1))


def week_sums(days: Floats) -> Floats:
    """The sum of the seven days up to each day. NaN for the first six."""
    sums = np.full(len(days), np.nan)
    total = np.concatenate(([0.0], np.cumsum(days)))
    sums[WEEK - 1 :] = total[WEEK:] - total[:-WEEK]
    return sums


def window_of(sums: Floats, origins: NDArray[np.int64]) -> Floats:
    """The weeks before each origin (the index of its last day), newest first; NaN before the first week."""
    places = origins[:, None] - WEEK * np.arange(WINDOW)[None, :]
    return np.where(places >= 0, sums[np.maximum(places, 0)], np.nan)


def fit(window: Floats) -> Candidates:
    """Run rate and growth of each candidate, from the weeks before each origin."""
    known = ~np.isnan(window)
    amounts = np.where(known, np.maximum(window, SMALLEST * WEEK), 0.0)
    age = np.arange(WINDOW, dtype=np.float64)
    growth = fit_growth(amounts, known, age)
    levels = []
    for decay, damping in CANDIDATES:
        moved = amounts * np.exp((growth if damping else 0 * growth)[:, None] * age) if damping else amounts
        if decay is None:
            levels.append(median_of(moved[:, :MEDIAN_OF], known[:, :MEDIAN_OF]))
        else:
            weight = known * decay**age
            levels.append((moved * weight).sum(axis=1) / weight.sum(axis=1))
    return Candidates(np.stack(levels, axis=1), growth)


def median_of(amounts: Floats, known: NDArray[np.bool_]) -> Floats:
    """The median of what is known in each row: at least one value."""
    ordered = np.sort(np.where(known, amounts, np.inf), axis=1)
    count, rows = known.sum(axis=1), np.arange(len(known))
    return np.asarray((ordered[rows, (count - 1) // 2] + ordered[rows, count // 2]) / 2)


def fit_growth(amounts: Floats, known: NDArray[np.bool_], age: Floats) -> Floats:
    """The slope of the logarithms by least squares, shrunk by how uncertain it is: by t^2 / (t^2 + 2)."""
    logs = np.log(np.where(known, amounts, 1.0))
    count = known.sum(axis=1)
    weight = known.astype(np.float64)
    x = -(age - (weight * age).sum(axis=1, keepdims=True) / count[:, None]) * weight
    y = (logs - (weight * logs).sum(axis=1, keepdims=True) / count[:, None]) * weight
    spread = np.maximum((x * x).sum(axis=1), 1e-12)
    slope = (x * y).sum(axis=1) / spread
    rest = ((y - slope[:, None] * x) ** 2).sum(axis=1) / np.maximum(count - 2, 1)
    t_squared = slope**2 * spread / np.maximum(rest, 1e-4)  # a week is never known better than to 1 %
    shrunk = np.where(count >= 4, slope * t_squared / (t_squared + 2), 0.0)
    return np.clip(shrunk, -STEEPEST, STEEPEST)
