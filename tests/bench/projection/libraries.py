"""Projects cases with Holt-Winters (statsmodels) and AutoETS (statsforecast). Runs in an environment of its own (other_methods.py).

Standard input has a JSON array of series for each line of standard output: by method, the cumulative median by day and the
cumulative 10 % and 90 % quantiles. It imports nothing of ours.
"""

import json
import sys
import warnings

import numpy as np
from statsforecast.models import AutoETS
from statsmodels.tsa.holtwinters import ExponentialSmoothing

DAYS, PATHS, WEEK = 90, 500, 7


def holt_winters(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Damped additive trend and additive weekdays, as in Hyndman and Athanasopoulos, 8.3: mean and simulated paths."""
    model = ExponentialSmoothing(values, trend="add", damped_trend=True, seasonal="add", seasonal_periods=WEEK).fit()
    return model.forecast(DAYS), model.simulate(DAYS, repetitions=PATHS, error="add", rng=1).T


def auto_ets(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Error, trend and season are chosen by AICc. Its paths have no trend (version 2.1.1), so they are moved to its mean."""
    model = AutoETS(season_length=WEEK).fit(values)
    mean, paths = model.predict(DAYS)["mean"], np.asarray(model.simulate(DAYS, PATHS, seed=1))
    return mean, paths * np.maximum(mean, 0) / np.maximum(paths.mean(axis=0), 1e-9)


def answer(mean: np.ndarray, paths: np.ndarray) -> dict[str, list[float]]:
    total = np.cumsum(np.maximum(paths, 0), axis=1)
    low, high = np.quantile(total, (0.1, 0.9), axis=0)
    return {"middle": np.cumsum(np.maximum(mean, 0)).tolist(), "low": low.tolist(), "high": high.tolist()}


def main() -> None:
    warnings.simplefilter("ignore")  # of fits that did not converge: they count as they are
    for line in sys.stdin:
        values = np.array(json.loads(line), np.float64)
        scale = max(values.mean(), 1.0)
        answers = {}
        for name, method in (("Holt-Winters", holt_winters), ("AutoETS", auto_ets)):
            mean, paths = method(values / scale)
            answers[name] = {part: [value * scale for value in lines] for part, lines in answer(mean, paths).items()}
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main()
