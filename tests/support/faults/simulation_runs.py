"""Runs simulated services in their own processes, so that runs share no state."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]


def begin(service: str, first: int, many: int, *, mutant: Path | None = None) -> "subprocess.Popen[str]":
    """Start `many` histories from seed `first`. `mutant` is a folder with a changed copy of the service's package."""
    path = os.pathsep.join(str(folder) for folder in (mutant, TESTS) if folder)
    return subprocess.Popen(
        [sys.executable, "-m", "simulation", service, f"{first}", f"{many}"],
        env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def result(run: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code and output."""
    output, _ = run.communicate()
    return run.returncode, output
