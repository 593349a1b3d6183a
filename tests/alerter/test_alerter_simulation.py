"""Hundreds of histories of alerters, each from one seed: crashes, two processes at once, errors, commits and mails with unknown result."""

import os
from pathlib import Path

import pytest
from support.faults.mutants import ALERTER, PROJECTED, make_mutant
from support.faults.simulation_runs import begin, result

HISTORIES = int(os.environ.get("SIMULATED_HISTORIES", "1500")) // 5  # one takes as long as four of an aggregator
SEED = int(os.environ.get("SIMULATED_SEED", "0"))


@pytest.mark.timeout(60 + HISTORIES // 2)
@pytest.mark.slow
def test_each_threshold_fires_once_and_each_recipient_is_notified_under_faults() -> None:
    half = HISTORIES // 2
    runs = [begin("alerter", SEED, half), begin("alerter", SEED + half, HISTORIES - half)]
    results = [result(run) for run in runs]
    assert [code for code, _ in results] == [0, 0], "\n".join(text for _, text in results)


UNSIMULATED = {"mails called sent when they are taken up", "thresholds met too early"}


@pytest.mark.parametrize("mutant", sorted(ALERTER.keys() - UNSIMULATED))
@pytest.mark.slow
def test_an_alerter_without_a_safeguard_is_caught(tmp_path: Path, mutant: str) -> None:
    code, output = result(begin("alerter", 0, 100, mutant=make_mutant("alerter", ALERTER[mutant], tmp_path)))
    assert code == 1, output
    assert "seed " in output, output


@pytest.mark.timeout(60 + HISTORIES // 2)
@pytest.mark.slow
def test_projected_thresholds_mail_once_a_day_and_banners_equal_the_last_projection_under_faults() -> None:
    """Three days each; a day's projection is made again by the test."""
    code, output = result(begin("projected", SEED, HISTORIES // 20))
    assert code == 0, output


@pytest.mark.parametrize("mutant", sorted(PROJECTED))
@pytest.mark.slow
def test_a_projector_without_a_safeguard_is_caught(tmp_path: Path, mutant: str) -> None:
    code, output = result(begin("projected", 0, 15, mutant=make_mutant("alerter", PROJECTED[mutant], tmp_path)))
    assert code == 1, output
    assert "seed " in output, output
