"""The projection on simulated companies: a small version of `./flexcredits bench forecast`, whose figures must hold."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from projection.backtest import closer_than_ours, describe, table
from projection.companies import DAYS, KINDS, simulate, stretch
from projection.methods import LibrariesMissing, install_libraries, naive, ours, seasonal_naive
from projection.scoring import HORIZONS, Case, Forecast, Outcome, cases, day_of, score

CASES = list(cases([simulate(kind, seed) for kind in KINDS for seed in (7, 8)], step=60))


def run_out_days(outcomes: list[Outcome]) -> float:
    return float(np.median([days for one in outcomes for days in one.run_out_days]))


@pytest.fixture(scope="module")
def outcomes() -> dict[str, list[Outcome]]:
    return {
        method.__name__: [
            score(case, made, horizon) for case in CASES for made in [method(case)] for horizon in HORIZONS
        ]
        for method in (ours, naive, seasonal_naive)
    }


def test_the_band_contains_what_comes_in_about_8_of_10_cases(outcomes: dict[str, list[Outcome]]) -> None:
    for horizon in HORIZONS:
        covered = [one.is_covered for one in outcomes["ours"] if one.horizon == horizon]
        assert 0.7 <= np.mean(covered) <= 0.9, (horizon, np.mean(covered))


def test_run_out_dates_are_closer_than_those_of_naive_methods(outcomes: dict[str, list[Outcome]]) -> None:
    assert run_out_days(outcomes["ours"]) < 2
    for other in ("naive", "seasonal_naive"):
        assert run_out_days(outcomes["ours"]) < 0.8 * run_out_days(outcomes[other])
        theirs = np.median([one.interval_score for one in outcomes[other]])
        assert np.median([one.interval_score for one in outcomes["ours"]]) < theirs


def test_companies_are_the_same_on_every_machine() -> None:
    company = simulate("growth", 1)
    assert len(company.micro) == DAYS
    assert company == simulate("growth", 1) != simulate("growth", 2)
    assert all(amount > 0 for amount in company.micro)


def test_a_perfect_forecast_has_no_error_and_a_wrong_one_its_days() -> None:
    case = Case("flat", [1_000_000] * 300, 150)
    came = case.came(90)
    perfect = score(case, Forecast(came, came, came), 90)
    assert (perfect.is_covered, perfect.interval_score, perfect.run_out_days) == (True, 0, (0, 0))
    late = score(case, Forecast(came / 2, came / 2, came / 2), 90)
    assert late.run_out_days == pytest.approx((31.5, 27))  # at twice the day, or the end
    assert late.interval_score == pytest.approx(10 / 2)
    assert day_of(np.array([2.0, 4.0]), 3) == 1.5


def test_a_trace_is_stretched_to_days(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00.0000000,10,1\n2023-11-16 18:00:01.0000000,5,0\n2023-11-16 18:00:10.0000000,7,7\n"
    )
    assert stretch("trace", trace, 10).micro == [11_000, 5_000, 0, 0, 0, 0, 0, 0, 0, 0]


def test_the_table_has_a_row_for_each_company_and_horizon(outcomes: dict[str, list[Outcome]]) -> None:
    printed = table([*KINDS], outcomes).splitlines()
    assert printed[0] == "| | ours | naive | seasonal_naive |"
    assert len(printed) == 2 + 2 * (len(KINDS) + 1)
    assert printed[-1].startswith(
        f"| all, {HORIZONS[-1]} days | {describe([one for one in outcomes['ours'] if one.horizon == HORIZONS[-1]])} |"
    )


def test_a_method_is_closer_only_if_it_is_so_for_most_companies() -> None:
    def made(errors: list[float]) -> list[Outcome]:
        return [Outcome("flat", horizon, True, 1, (days, days)) for days in errors for horizon in HORIZONS]

    companies = [[number] * 300 for number in range(10)]
    every = [Case("flat", micro, 150) for micro in companies]
    worse, mixed, closer = [6.0] * 10, [1.0, 9.0] * 5, [1.0] * 9 + [9.0]
    found = closer_than_ours(every, {"ours": made([5.0] * 10), "a": made(worse), "b": made(mixed), "c": made(closer)})
    assert found == [f"{name}, {days} days: c 1.0, ours 5.0" for name in ("flat", "all") for days in HORIZONS]


def test_without_uv_other_libraries_are_skipped_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("FLEXCREDITS_HOME", str(tmp_path))
    with pytest.raises(LibrariesMissing, match="uv not found"):
        install_libraries()
