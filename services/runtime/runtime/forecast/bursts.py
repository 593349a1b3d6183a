"""Series that stop for weeks and come back: their past days are drawn again, in blocks (Künsch 1989), without rate and trend."""

import numpy as np

from runtime.forecast.weeks import WEEK, Floats

BLOCK = 4 * WEEK
"""Days that are drawn together, so that a burst and the silence after it stay together."""
DAYS_MAX = 26 * WEEK
EMPTY = 0.05
"""Of the mean week: a week with less is silent."""
RETURNS_MIN = 2
"""So many times use has come back after a silent week: once may have been a holiday."""
DAYS_MIN = 2 * BLOCK
ORIGINS, PATHS = 60, 300


def is_bursty(days: Floats) -> bool:
    recent = days[-DAYS_MAX:]
    if len(recent) < DAYS_MIN:
        return False
    weeks = recent[len(recent) % WEEK :].reshape(-1, WEEK).sum(axis=1)
    silent = weeks < EMPTY * weeks.mean()
    return int((silent[:-1] & ~silent[1:]).sum()) >= RETURNS_MIN


def draw_blocks(days: Floats, paths: int, count: int, seed: int) -> Floats:
    """`count` days in each path, in blocks of the days at the end of `days`: (paths, count)."""
    recent = days[-DAYS_MAX:]
    blocks = np.lib.stride_tricks.sliding_window_view(recent, min(BLOCK, len(recent)))
    picks = np.random.default_rng(seed).integers(0, len(blocks), (paths, -(-count // blocks.shape[1])))
    return np.asarray(blocks[picks].reshape(paths, -1)[:, :count])


def past_coverage(days: Floats, count: int) -> tuple[float | None, int]:
    """The share of past bands of up to `count` days that contained what came, and their number."""
    count = min(count, BLOCK)
    origins = np.arange(DAYS_MIN, len(days) - count + 1)
    if len(origins) < BLOCK:
        return None, len(origins)
    chosen = origins[:: max(1, len(origins) // ORIGINS)]
    hits = []
    for origin in chosen:
        low, high = np.quantile(draw_blocks(days[:origin], PATHS, count, seed=1).sum(axis=1), (0.1, 0.9))
        hits.append(low <= days[origin : origin + count].sum() <= high)
    return float(np.mean(hits)), len(origins)
