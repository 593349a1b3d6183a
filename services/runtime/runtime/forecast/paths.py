"""Simulated amounts of the next days: paths, of which all that is projected is counted."""

from typing import NamedTuple

import numpy as np

from runtime.forecast.bursts import draw_blocks, is_bursty, past_coverage
from runtime.forecast.history import Past, draw_candidates, draw_logs, study
from runtime.forecast.weeks import SMALLEST, WEEK, WINDOW, Floats, fit, week_sums, window_of
from runtime.forecast.width import Width, choose_width

PATHS = 1000
"""The deciles of run-out dates are then known to about 1 %."""
FARTHEST = 3.0
"""Of a path's logarithm: twenty times the projection, or a twentieth."""


class Paths(NamedTuple):
    amounts: Floats
    """(paths, days)"""
    coverage: float | None
    """Share of past 80 % bands that contained what came. None: too few of them."""
    origins: int
    """Number of past days from which there was a band."""
    weeks: int
    """Complete weeks that the run rate is taken from."""


def draw_paths(days: Floats, count: int, seed: int) -> Paths:
    """`days` have a mean of about 1; `count` days are drawn."""
    weeks = min(WINDOW, len(days) // WEEK)
    if is_bursty(days):
        return Paths(draw_blocks(days, PATHS, count, seed), *past_coverage(days, count), weeks)
    past = study(days, -(-count // WEEK))
    width = choose_width(past)
    return Paths(simulate(days, past, width, count, seed), width.coverage, width.origins, weeks)


def simulate(days: Floats, past: Past, width: Width, count: int, seed: int) -> Floats:
    """Amounts of `count` days in each path: (paths, days)."""
    weeks = -(-count // WEEK)
    last = np.array([len(days) - 1])
    sums = np.maximum(week_sums(days), SMALLEST * WEEK)
    candidates, weights = fit(window_of(sums, last)).weeks(weeks), past.weights[-1:]
    projected = weights[0] @ candidates[0]
    logs = draw_logs(past.errors * past.scales[-1], past.persistence[-1], PATHS, weeks, seed)
    logs += draw_candidates(weights, np.log(candidates / projected), PATHS, seed)[0]
    amounts = projected * np.exp(np.clip(logs * width.by_week(weeks), -FARTHEST, FARTHEST))
    shares = draw_shares(days, weeks, seed)
    return np.asarray((amounts[:, :, None] * shares).reshape(PATHS, -1)[:, :count])


def draw_shares(days: Floats, weeks: int, seed: int) -> Floats:
    """The shares of the days in each week of each path, as in one of the last weeks: (paths, weeks, 7)."""
    recent = days[-WEEK * min(WINDOW, len(days) // WEEK) :].reshape(-1, WEEK)
    totals = recent.sum(axis=1, keepdims=True)
    usual = recent.sum(axis=0) / max(recent.sum(), 1e-12) if recent.sum() > 0 else np.full(WEEK, 1 / WEEK)
    shares = np.where(totals > SMALLEST * WEEK, recent / np.maximum(totals, 1e-12), usual)
    # Half the shape of one week, half that of all: a week has noise, and their mean no holidays.
    mixed = 0.5 * shares + 0.5 * usual
    picks = np.random.default_rng([seed, 1]).integers(0, len(mixed), (PATHS, weeks))
    return np.asarray(mixed[picks])
