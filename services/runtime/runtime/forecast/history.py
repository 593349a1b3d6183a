"""What past projections say: which candidates to believe, and how far they err.

Past days are origins: a projection from each is compared with the weeks that came after it, and knows nothing of them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.forecast.weeks import CANDIDATES, SMALLEST, WEEK, WINDOW, Floats, fit, week_sums, window_of

HORIZONS = (1, 2, 4, 8, 13)
"""Weeks ahead that are compared."""
ORIGINS_MAX = 182
"""Half a year: older origins say less about today than they cost."""
FORGETTING = 0.985
"""A day's error counts so many times as much as that of the day after it: half after 46 days."""
CHOOSINESS = 6.0
"""A candidate with twice the error gets a 64th of the weight: between their mean (0) and the best one alone."""
EXPECTED_ERROR, EXPECTED_ORIGINS = 0.15, 14.0
"""Before there are errors: as if each candidate had erred by 15 % at that many origins."""
PERSISTENCE = np.array([2 / WINDOW if decay is None else max(1 - decay, 1 / WINDOW) for decay, _ in CANDIDATES])
"""The share of a week's surprise that each candidate's run rate keeps."""
ERROR_MAX = 1.5
"""Of a logarithm: a week 4.5 times as large as projected is an event, from which no band is made."""
SMALLEST_ERROR = 0.01
DEVIATIONS = 1.25
"""Standard deviation by mean absolute error, of a normal distribution."""
NORMAL = np.array([-1.64, -1.04, -0.67, -0.39, -0.13, 0.13, 0.39, 0.67, 1.04, 1.64])
"""Of a normal distribution, while there are few errors of our own."""


class Past(NamedTuple):
    """Projections from past origins, the last of which is today's."""

    origins: NDArray[np.int64]
    """Index of the last day before each projection."""
    horizons: list[int]
    total: Floats
    """What was used before each day, and at the end."""
    projected: Floats
    """Of the next weeks: (origins, weeks)."""
    weights: Floats
    """Of the candidates, as known at each origin: (origins, candidates)."""
    apart: Floats
    """How far each candidate's logarithm is from that of their mean: (origins, candidates, weeks)."""
    scales: Floats
    """The size of an error, as known at each origin."""
    errors: Floats
    """Of logarithms one week ahead, in multiples of their scale. Never empty."""
    persistence: Floats
    """The share of a week's surprise that stays: (origins,)."""

    def came(self, weeks: int) -> Floats:
        """The logarithm of what came in the weeks after each origin. NaN: they are not over."""
        ends = self.origins + WEEK * weeks
        is_over = ends < len(self.total) - 1
        amounts = self.total[np.where(is_over, ends, 0) + 1] - self.total[self.origins + 1]
        return np.where(is_over, np.log(np.maximum(amounts, SMALLEST * WEEK * weeks)), np.nan)


def study(days: Floats, horizon_weeks: int) -> Past:
    """`days` have a mean of about 1. Deterministic."""
    last = len(days) - 1
    origins = np.arange(max(2 * WEEK - 1, last - ORIGINS_MAX), last + 1)
    horizons = [
        weeks for weeks in HORIZONS if weeks == 1 or (weeks <= horizon_weeks and last - WEEK * weeks >= origins[0])
    ]
    candidates = fit(window_of(np.maximum(week_sums(days), SMALLEST * WEEK), origins)).weeks(horizons[-1])
    past = Past(origins, horizons, np.concatenate(([0.0], np.cumsum(days))), *[np.empty(0)] * 6)
    losses = []
    for weeks in horizons:
        loss = np.abs(past.came(weeks)[:, None] - np.log(candidates[:, :, :weeks].sum(axis=2)))
        losses.append(np.minimum(loss, 2 * ERROR_MAX))
    weights = weigh(losses, horizons)
    projected = np.einsum("oc,och->oh", weights, candidates)
    errors = past.came(1) - np.log(projected[:, 0])
    scales = scale_errors(errors)
    return past._replace(
        projected=projected,
        weights=weights,
        apart=np.log(candidates / projected[:, None]),
        scales=scales,
        errors=standardize(errors, scales),
        persistence=weights @ PERSISTENCE,
    )


def weigh(losses: list[Floats], horizons: list[int]) -> Floats:
    """Weights of the candidates at each origin, from the errors that were known at it: (origins, candidates)."""
    relative = []
    for loss, weeks in zip(losses, horizons, strict=True):
        sums = np.full(loss.shape[1], EXPECTED_ERROR * EXPECTED_ORIGINS)
        known = np.empty_like(loss)
        for place in range(len(loss)):
            over = place - WEEK * weeks
            if over >= 0:
                sums = sums * FORGETTING + loss[over]
            known[place] = sums
        relative.append(known / known.mean(axis=1, keepdims=True))
    strength = np.mean(relative, axis=0) ** -CHOOSINESS
    return np.asarray(strength / strength.sum(axis=1, keepdims=True))


def scale_errors(errors: Floats) -> Floats:
    """The size of an error as known at each origin, as a standard deviation: from a mean of absolute errors that forgets,
    because one launch must not widen every later band."""
    sizes, count = EXPECTED_ERROR / DEVIATIONS * EXPECTED_ORIGINS, EXPECTED_ORIGINS
    scales = np.empty(len(errors))
    for place in range(len(errors)):
        over = place - WEEK
        if over >= 0:
            sizes = sizes * FORGETTING + min(abs(float(errors[over])), ERROR_MAX)
            count = count * FORGETTING + 1
        scales[place] = max(DEVIATIONS * sizes / count, SMALLEST_ERROR)
    return scales


def standardize(errors: Floats, scales: Floats) -> Floats:
    known = ~np.isnan(errors)
    own = np.clip(errors[known] / scales[known], -3, 3)
    return np.concatenate((NORMAL, own - own.mean())) if len(own) else NORMAL


def draw_candidates(weights: Floats, apart: Floats, paths: int, seed: int) -> Floats:
    """The candidate that each path follows, drawn by weight, as its distance from their mean: (origins, paths, weeks)."""
    drawn = np.random.default_rng([seed, 2]).random(paths)
    reached = np.cumsum(weights, axis=1)[:, None] < drawn[:, None]  # the last sum is 1, but for rounding
    picks = np.minimum(reached.sum(axis=2), weights.shape[1] - 1)
    return np.take_along_axis(apart, picks[:, :, None], axis=1)


def draw_logs(errors: Floats, persistence: Floats, paths: int, weeks: int, seed: int) -> Floats:
    """Logarithms by which paths leave the projection, by week: a share of each week's surprise stays.

    `errors` is one-dimensional; the shape of the answer is that of `persistence`, then (paths, weeks).
    """
    drawn = errors[np.random.default_rng(seed).integers(0, len(errors), (paths, weeks))]
    kept = np.cumsum(drawn, axis=1) - drawn
    return np.asarray(drawn + persistence[..., None, None] * kept)
