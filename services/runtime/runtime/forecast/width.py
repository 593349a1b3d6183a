"""How wide the band must be: split-conformal, from past bands and what came (Lei et al. 2018; Romano et al. 2019)."""

from typing import NamedTuple

import numpy as np

from runtime.forecast.history import HORIZONS, NORMAL, Past, draw_candidates, draw_logs
from runtime.forecast.weeks import WEEK, Floats

PATHS = 300
"""Simulated at each origin; its deciles are known to 2 %."""
DECILES = [29, 149, 269]
"""Places of the deciles 10, 50 and 90 among the ascending paths."""
ORIGINS_MAX = 60
TARGET, TARGETS = 0.8, (0.75, 0.85)
PRIOR = (1.3, 1.8, 2.7, 2.7, 2.7)
"""Factors at HORIZONS of a series without a past of its own: those of the simulated companies in docs/forecast.md."""
USUAL_SCALE = 0.1
"""Of errors one week ahead: with larger ones, paths already go as far as such companies do."""
PRIOR_WINDOWS = 3.0
"""The prior counts as much as so many windows of its own."""
OWN_ORIGINS_MIN = 28
"""From so many past days on, the coverage is stated."""
NARROWEST, WIDEST = 0.4, 8.0
THINNEST = 0.005
"""Of logarithms: half a percent is certain enough."""


class Width(NamedTuple):
    factors: Floats
    """Of the logarithms of paths, at the first of HORIZONS."""
    coverage: float | None
    origins: int

    def by_week(self, weeks: int) -> Floats:
        """Factors of the next weeks; beyond the last horizon, its factor."""
        return np.interp(np.log(np.arange(1, weeks + 1)), np.log(HORIZONS[: len(self.factors)]), self.factors)


def choose_width(past: Past) -> Width:
    """The narrowest band whose past coverage is 80 %, as far as there is a past, else that of the prior."""
    step = max(1, len(past.origins) // ORIGINS_MAX)
    scores = score(past, slice(None, None, step))
    windows = [
        step * int((~np.isnan(row)).sum()) / (WEEK * weeks) for row, weeks in zip(scores, past.horizons, strict=True)
    ]
    excess = min(1.0, USUAL_SCALE / float(past.scales[-1]))
    priors = [1 + (prior - 1) * excess for prior in PRIOR]
    factors = np.array([blend(*each) for each in zip(scores, windows, priors, strict=False)])
    factors = np.clip(np.maximum.accumulate(factors), NARROWEST, WIDEST)
    origins = len(past.origins) - WEEK
    if origins < OWN_ORIGINS_MIN:
        return Width(factors, None, max(origins, 0))
    is_own = ~np.isnan(scores)
    own = (scores / factors[:, None])[is_own]
    shares = (np.array(windows) / is_own.sum(axis=1))[:, None].repeat(scores.shape[1], axis=1)[is_own]
    low, high = (weighted_quantile(own, shares, target) for target in TARGETS)
    more = min(max(1.0, low), high)
    return Width(factors * more, float(shares[own <= more].sum() / shares.sum()), origins)


def score(past: Past, chosen: slice) -> Floats:
    """For horizons and origins, by how much the 80 % band would have had to be wider to contain what came. NaN: not over."""
    logs = (
        draw_logs(past.errors, past.persistence[chosen], PATHS, past.horizons[-1], seed=1)
        * past.scales[chosen, None, None]
    ) + draw_candidates(past.weights[chosen], past.apart[chosen], PATHS, seed=1)
    paths = np.cumsum(past.projected[chosen, None, :] * np.exp(logs), axis=2)
    scores = []
    for weeks in past.horizons:
        came = past.came(weeks)[chosen]
        low, middle, high = np.log(np.sort(paths[:, :, weeks - 1], axis=1)[:, DECILES].T)
        up, down = np.maximum(high - middle, THINNEST), np.maximum(middle - low, THINNEST)
        scores.append(np.where(came > middle, (came - middle) / up, (middle - came) / down))
    return np.array(scores)


def blend(scores: Floats, windows: float, prior: float) -> float:
    """The 80 % quantile of own scores and the prior's. Windows of weeks overlap: own scores count as those that do not."""
    own = scores[~np.isnan(scores)]
    expected = prior * np.abs(NORMAL[:5]) / 1.28
    shares = np.concatenate(
        (np.full(len(own), windows / max(len(own), 1)), np.full(len(expected), PRIOR_WINDOWS / len(expected)))
    )
    return weighted_quantile(np.concatenate((own, expected)), shares, TARGET)


def weighted_quantile(values: Floats, weights: Floats, quantile: float) -> float:
    """The smallest value that at least this share of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) >= quantile * weights.sum() - 1e-9
    return float(values[order][int(np.argmax(reached))])
