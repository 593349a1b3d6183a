#!/usr/bin/env bash
# statsforecast 2.1.1: AutoETS.simulate() draws paths without the trend of the fitted model.
# Expected: the mean of many simulated paths is the forecast of the same model, as statsmodels' simulate() gives it.
# Happens: for each model with a trend, the mean of 4,000 paths stays at the last level; models without a trend agree.
# Ours: `./flexcredits bench forecast` compares our bands with AutoETS; it moves these paths to AutoETS' own mean first
# (tests/bench/projection/libraries.py).
# Exits non-zero if the behaviour changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "statsforecast==2.1.1" "statsmodels==0.15.0" 2>&1 | cut -c1-300
"$folder/venv/bin/python" - <<'PYTHON'
import warnings
from importlib.metadata import version

import numpy as np
from statsforecast.models import AutoETS
from statsmodels.tsa.holtwinters import ExponentialSmoothing

warnings.simplefilter("ignore")
print("statsforecast", version("statsforecast"), "statsmodels", version("statsmodels"))
values = (100 + np.arange(140.0)) * np.random.default_rng(0).lognormal(0, 0.02, 140)
differs = {}
for model in ("ANN", "AAN", "MAN"):
    fitted = AutoETS(season_length=1, model=model, damped=False).fit(values)
    mean, paths = fitted.predict(28)["mean"], fitted.simulate(28, 4000, seed=1).mean(axis=0)
    print(f"AutoETS {model}: day 28: forecast {mean[-1]:.1f}, mean of simulated paths {paths[-1]:.1f}")
    differs[model] = abs(paths[-1] / mean[-1] - 1) > 0.03
fitted = ExponentialSmoothing(values, trend="add").fit()
print(f"statsmodels: day 28: forecast {fitted.forecast(28)[-1]:.1f}, mean of simulated paths "
      f"{fitted.simulate(28, repetitions=4000, rng=1).mean(axis=1)[-1]:.1f}")
assert differs == {"ANN": False, "AAN": True, "MAN": True}, differs
PYTHON
