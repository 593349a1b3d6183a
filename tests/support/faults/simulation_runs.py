"""Runs of the simulated services in processes of their own: the luck of one is not another's."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]


def begin(service: str, first: int, many: int, *, mutant: Path | None = None) -> "subprocess.Popen[str]":
    """Histories from seed `first`; `mutant` is a folder that has the service's package changed."""
    path = os.pathsep.join(str(folder) for folder in (mutant, TESTS) if folder)
    return subprocess.Popen(
        [sys.executable, "-m", "simulation", service, f"{first}", f"{many}"],
        env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def result(run: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code and what it said."""
    said, _ = run.communicate()
    return run.returncode, said
