"""Daily credits of simulated companies, each with one difficulty, and of real traces stretched to days."""

import csv
import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FIRST_DAY, DAYS = date(2025, 1, 6), 420  # a Monday
OFFICE = np.array([1.05, 1.15, 1.12, 1.08, 0.95, 0.25, 0.2])
MICRO = 1_000_000


class Company(NamedTuple):
    name: str
    first_day: date
    micro: list[int]


def simulate(kind: str, seed: int) -> Company:
    """Deterministic. Every company has weekdays, noise, and weeks that differ for no reason that data has."""
    chance = np.random.default_rng([sum(kind.encode()), seed])
    days = np.arange(DAYS, dtype=np.float64)
    level = chance.lognormal(math.log(2_000), 0.8) * np.exp(np.cumsum(chance.normal(0, 0.004, DAYS)))
    level *= OFFICE[np.arange(DAYS) % 7] * KINDS[kind](days, chance)
    noisy = level * chance.lognormal(0, 0.12, DAYS)
    return Company(f"{kind}", FIRST_DAY, [round(float(value) * MICRO) for value in noisy])


def steady(days: Floats, chance: np.random.Generator) -> Floats:
    return np.ones_like(days)


def growth(days: Floats, chance: np.random.Generator) -> Floats:
    return np.exp(chance.uniform(0.03, 0.08) / 7 * days)


def seasons(days: Floats, chance: np.random.Generator) -> Floats:
    return 1 + 0.35 * np.sin(2 * np.pi * (days / 365 + chance.uniform()))


def holidays(days: Floats, chance: np.random.Generator) -> Floats:
    """Single days off, and two weeks at the end of the year."""
    factor = np.ones_like(days)
    factor[chance.choice(len(days), 18, replace=False)] = 0.2
    factor[
        [
            day
            for day in range(len(days))
            if (FIRST_DAY + timedelta(days=day)).timetuple().tm_yday in {*range(1, 3), *range(357, 367)}
        ]
    ] = 0.15
    return factor


def launch(days: Floats, chance: np.random.Generator) -> Floats:
    """Three launches: use jumps, and half of the jump is gone after some days."""
    factor = np.ones_like(days)
    for begins in chance.choice(np.arange(60, 400), 3, replace=False):
        since = days - begins
        factor += np.where(since >= 0, chance.uniform(1, 3) * np.exp(-since / chance.uniform(4, 14)), 0)
    return factor


def churn(days: Floats, chance: np.random.Generator) -> Floats:
    begins = chance.uniform(120, 260)
    return np.exp(-chance.uniform(0.04, 0.1) / 7 * np.maximum(days - begins, 0))


def regime(days: Floats, chance: np.random.Generator) -> Floats:
    """A new level, twice."""
    factor = np.ones_like(days)
    for begins in (chance.uniform(110, 200), chance.uniform(230, 340)):
        factor *= np.where(days >= begins, np.exp(chance.choice([-1, 1]) * chance.uniform(0.3, 0.8)), 1)
    return factor


def month_end(days: Floats, chance: np.random.Generator) -> Floats:
    """The last three days of a month have a multiple of the load."""
    ends = [(FIRST_DAY + timedelta(days=int(day) + 3)).day <= 3 for day in days]
    return np.where(ends, chance.uniform(2, 4), 1.0)


KINDS: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
    "steady": steady, "growth": growth, "seasons": seasons, "holidays": holidays, "launch": launch, "churn": churn,
    "regime change": regime, "month-end": month_end,
}  # fmt: skip


def stretch(name: str, trace: Path, days: int = 360) -> Company:
    """A trace of minutes as if it were `days` days: equal parts of its time, with their tokens as credits per thousand."""
    with trace.open(newline="") as lines:
        rows = [
            (datetime.fromisoformat(row["TIMESTAMP"][:26]), int(row["ContextTokens"]) + int(row["GeneratedTokens"]))
            for row in csv.DictReader(lines)
        ]
    begins, length = rows[0][0], (rows[-1][0] - rows[0][0]) / days
    micro = [0] * (days + 1)
    for at, tokens in rows:
        micro[int((at - begins) / length)] += tokens * 1_000
    return Company(name, FIRST_DAY, micro[:days])
