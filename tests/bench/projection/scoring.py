"""What a projection is measured by: coverage and interval score of its 80 % band, and run-out error in days."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from projection.companies import Company, Floats

HISTORY, STEP = 150, 30
"""Days before the first origin, and between origins."""
HORIZONS = (30, 90)
"""Days to the end of the period: a month and a quarter."""
RUN_OUT_AT = (0.35, 0.7)
"""Grants are these shares of what came in the period, so that they run out in it."""
OUTSIDE = 2 / 0.2
"""Penalty of the interval score for an 80 % interval (Gneiting and Raftery 2007, equation 43)."""


class Case(NamedTuple):
    """A projection to make from the days before `origin`, and what came."""

    company: str
    micro: Sequence[int]
    origin: int

    @property
    def known(self) -> Sequence[int]:
        return self.micro[: self.origin]

    def came(self, days: int) -> Floats:
        """What was used up to the end of each day."""
        return np.cumsum(np.array(self.micro[self.origin : self.origin + days], np.float64))


class Forecast(NamedTuple):
    """Cumulative, at the end of each day: the middle, and the limits of the 80 % band."""

    middle: Floats
    low: Floats
    high: Floats


class Outcome(NamedTuple):
    """Of one forecast and horizon. The interval score is in multiples of the last 28 days' pace."""

    company: str
    horizon: int
    is_covered: bool
    interval_score: float
    run_out_days: tuple[float, ...]


def cases(companies: Sequence[Company], *, step: int = STEP) -> Iterator[Case]:
    for company in companies:
        for origin in range(HISTORY, len(company.micro) - max(HORIZONS) + 1, step):
            yield Case(company.name, company.micro, origin)


def score(case: Case, forecast: Forecast, horizon: int) -> Outcome:
    came = case.came(horizon)
    end, low, high = float(came[-1]), float(forecast.low[horizon - 1]), float(forecast.high[horizon - 1])
    width = high - low + OUTSIDE * (max(0.0, low - end) + max(0.0, end - high))
    pace = sum(case.known[-28:]) / 28 * horizon
    errors = (abs(day_of(forecast.middle[:horizon], end * share) - day_of(came, end * share)) for share in RUN_OUT_AT)
    return Outcome(case.company, horizon, low <= end <= high, width / max(pace, 1.0), tuple(errors))


def day_of(total: Floats, amount: float) -> float:
    """When `amount` is reached, in days and their parts; at the latest at the end."""
    place = int(np.searchsorted(total, amount))
    if place >= len(total):
        return float(len(total))
    before = float(total[place - 1]) if place else 0.0
    return place + (amount - before) / max(float(total[place]) - before, 1e-9)
