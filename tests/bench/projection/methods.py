"""The methods that are compared: ours, two naive ones, and those of other libraries if they can be installed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
from flexcredits_cli.machine.state_folder import state_folder
from runtime.forecast.model import Projection, Series
from runtime.forecast.project import project

from projection.companies import FIRST_DAY, Floats
from projection.scoring import HORIZONS, Case, Forecast

LIBRARIES = ("statsmodels==0.15.0", "statsforecast==2.1.1")
"""In an environment of their own, because nothing else needs them and they bring pandas and SciPy."""
DAYS, PATHS, WEEK = max(HORIZONS), 500, 7


def ours(case: Case) -> Forecast:
    until = FIRST_DAY + timedelta(days=case.origin + DAYS)
    projected = project(Series(FIRST_DAY, case.known), until=until, used_micro=0, seed=7)
    assert isinstance(projected, Projection), projected
    band = projected.band
    return Forecast(*(np.array(line, np.float64) for line in (band.p50, band.p10, band.p90)))


def naive(case: Case) -> Forecast:
    """The last day again and again; paths add past differences of days."""
    return walk(np.array(case.known, np.float64), 1)


def seasonal_naive(case: Case) -> Forecast:
    """The last week again and again; paths add past differences of the same weekday."""
    return walk(np.array(case.known, np.float64), WEEK)


def walk(days: Floats, period: int) -> Forecast:
    rounds = -(-DAYS // period)
    steps = np.random.default_rng(1).choice(days[period:] - days[:-period], (PATHS, rounds, period))
    paths = np.maximum(days[-period:] + np.cumsum(steps, axis=1), 0).reshape(PATHS, -1)[:, :DAYS]
    low, high = np.quantile(np.cumsum(paths, axis=1), (0.1, 0.9), axis=0)
    return Forecast(np.cumsum(np.tile(days[-period:], rounds)[:DAYS]), low, high)


class LibrariesMissing(Exception):
    """Why the methods of other libraries cannot be compared on this machine."""


def install_libraries() -> Path:
    """The interpreter of the environment with LIBRARIES, made by uv at first use. Raises LibrariesMissing."""
    private = state_folder().root / "uv" / "bin" / "uv"
    uv = shutil.which("uv") or (str(private) if private.exists() else None)
    if uv is None:
        raise LibrariesMissing("uv not found")
    folder = state_folder().root / "forecast-libraries"
    python = folder / "bin" / "python"
    for command in (
        [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *LIBRARIES],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise LibrariesMissing(f"uv cannot install {', '.join(LIBRARIES)}: {done.stderr.strip()[:300]}")
    return python


def of_libraries(python: Path, cases: Sequence[Case]) -> dict[str, list[Forecast]]:
    """By method, a forecast for each case."""
    done = subprocess.run(
        [python, Path(__file__).with_name("libraries.py")],
        input="\n".join(json.dumps(case.known) for case in cases), capture_output=True, text=True, check=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    found: dict[str, list[Forecast]] = {}
    for line in done.stdout.splitlines():
        for name, parts in json.loads(line).items():
            found.setdefault(name, []).append(
                Forecast(*(np.array(parts[part], np.float64) for part in ("middle", "low", "high")))
            )
    return found
