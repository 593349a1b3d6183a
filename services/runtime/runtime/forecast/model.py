"""What a projection is made from, and what it says. Amounts are integers of a millionth."""

from collections.abc import Sequence
from datetime import date
from typing import Literal, NamedTuple

DAYS_MIN = 14
"""Two complete weeks: fewer days cannot distinguish weekdays from a change."""


class Series(NamedTuple):
    """Sums of complete days in a row, and of the day after them, which is not over."""

    first_day: date
    micro: Sequence[int | None]
    """A day that is None is missing, as opposed to a day on which nothing was used."""
    today_micro: int = 0
    elapsed: float = 0.0
    """The share of a day's amount that is usually reached by now, from 0 to 1."""


class Amounts(NamedTuple):
    """In 80 of 100 cases the amount is between p10 and p90."""

    p10: int
    p50: int
    p90: int


class Dates(NamedTuple):
    """As Amounts. None: not before the end of the period."""

    p10: date | None
    p50: date | None
    p90: date | None


class Band(NamedTuple):
    """Amounts from the first complete day of the period to the end of each day, today first."""

    first_day: date
    p10: Sequence[int]
    p50: Sequence[int]
    p90: Sequence[int]


class Projection(NamedTuple):
    """Of the days from today to the end of the period."""

    end_use: Amounts
    """With what the period used before."""
    run_out: Dates | None
    """The day on which nothing is left. None without an amount that is left."""
    probability_not_in_period: float | None
    """Of not running out. None without an amount that is left."""
    expiring_unused: Amounts | None
    """None without an amount that is left, and if the period ends after the projected days."""
    band: Band
    coverage: float | None
    """Share of past projections whose 80 % band contained what came. None: too few of them."""
    origins: int
    """Number of past days from which a projection was compared with what came."""
    weeks: int
    """Complete weeks that the run rate is taken from."""


class Refusal(NamedTuple):
    """Why there is no projection."""

    reason: Literal["too_few_days", "days_missing", "period_over"]
    detail: str
