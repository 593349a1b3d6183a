"""`./flexcredits bench forecast`: the table of docs/forecast.md."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from support.data.traces import DEFAULT, NAMES

from projection.companies import KINDS, Floats, simulate, stretch
from projection.methods import LibrariesMissing, install_libraries, naive, of_libraries, ours, seasonal_naive
from projection.scoring import HORIZONS, Case, Forecast, Outcome, cases, score

SEEDS = range(600, 620)
"""The method and its width were chosen with others, such as 100 to 102 and 200 to 211."""
SAMPLES, SURE, COMPANIES_MIN = 1_000, 0.95, 5
"""Another method is closer than ours only if it is so in this share of samples of companies. Fewer companies say nothing."""


def bench_forecast(runs: int, traces: Path = DEFAULT) -> None:
    """`runs` are companies of each kind."""
    companies = [simulate(kind, seed) for kind in KINDS for seed in SEEDS[:runs]]
    if all((traces / name).exists() for name in NAMES):
        companies += [stretch(f"Azure {name[15:19]}", traces / name) for name in NAMES]
    else:
        print("Azure traces: skipped, not found")
    all_cases = list(cases(companies))
    forecasts: dict[str, list[Forecast]] = {}
    for method in (ours, naive, seasonal_naive):
        forecasts[method.__name__.replace("_", " ")], seconds = timed(method, all_cases)
        print(f"{method.__name__}: {1000 * seconds / len(all_cases):.1f} ms of processor per projection", flush=True)
    try:
        forecasts |= of_libraries(install_libraries(), all_cases)
    except LibrariesMissing as missing:
        print(f"Holt-Winters, AutoETS: skipped, {missing}")
    outcomes = {
        name: [score(case, made, horizon) for case, made in zip(all_cases, every, strict=True) for horizon in HORIZONS]
        for name, every in forecasts.items()
    }
    print(table([company.name for company in companies], outcomes))
    for line in closer_than_ours(all_cases, outcomes):
        print(line)


def timed(method: Callable[[Case], Forecast], every: Sequence[Case]) -> tuple[list[Forecast], float]:
    began = time.process_time()
    return [method(case) for case in every], time.process_time() - began


def table(companies: Sequence[str], outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """In Markdown: for each company and method, coverage, interval score, and median (mean) run-out error in days."""
    lines = [f"| | {' | '.join(outcomes)} |", f"|---|{'---|' * len(outcomes)}"]
    for name in [*dict.fromkeys(companies), "all"]:
        for horizon in HORIZONS:
            cells = (
                describe([one for one in every if one.horizon == horizon and name in (one.company, "all")])
                for every in outcomes.values()
            )
            lines.append(f"| {name}, {horizon} days | {' | '.join(cells)} |")
    return "\n".join(lines)


def closer_than_ours(every: Sequence[Case], outcomes: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """Where another method has a smaller median run-out error, as far as that is not by chance: the bootstrap draws companies,
    because the cases of one resemble one another."""
    errors = {name: run_out_days(of, len(every)) for name, of in outcomes.items()}
    found, chance = [], np.random.default_rng(1)
    for name in [*dict.fromkeys(case.company for case in every), "all"]:
        rows: dict[int, list[int]] = {}
        for place, case in enumerate(every):
            if name in (case.company, "all"):
                rows.setdefault(id(case.micro), []).append(place)
        groups = [*rows.values()]
        if len(groups) < COMPANIES_MIN:
            continue
        samples = [
            [row for group in chance.integers(0, len(groups), len(groups)) for row in groups[group]]
            for _ in range(SAMPLES)
        ]
        for at, horizon in enumerate(HORIZONS):
            ours, *others = ((method, of[:, at]) for method, of in errors.items())
            for method, of in others:
                closer = np.mean([np.median(of[sample]) < np.median(ours[1][sample]) for sample in samples])
                if closer >= SURE:
                    middles = [np.median(each[[row for group in groups for row in group]]) for each in (of, ours[1])]
                    found.append(f"{name}, {horizon} days: {method} {middles[0]:.1f}, ours {middles[1]:.1f}")
    return found


def run_out_days(outcomes: Sequence[Outcome], cases: int) -> Floats:
    """(cases, horizons, grants)"""
    return np.array([one.run_out_days for one in outcomes]).reshape(cases, len(HORIZONS), -1)


def describe(outcomes: Sequence[Outcome]) -> str:
    errors = [days for one in outcomes for days in one.run_out_days]
    covered = np.mean([one.is_covered for one in outcomes])
    width = np.median([one.interval_score for one in outcomes])
    return f"{covered:.0%}, {width:.2f}, {np.median(errors):.1f} ({np.mean(errors):.1f})"
