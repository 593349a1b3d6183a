"""Runs simulated services in their own processes, so that runs share no state."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
UNTOUCHED = {"NUMPY_MADVISE_HUGEPAGE": "0", "MALLOC_MMAP_THRESHOLD_": f"{2**22}"}
"""Memory that is used nowhere is not filled with zeros: each simulated aggregator has 32 MiB for identities and meets a few."""


def begin(service: str, first: int, many: int, *, mutant: Path | None = None) -> "subprocess.Popen[str]":
    """Start `many` histories from seed `first`. `mutant` is a folder with a changed copy of the service's package: its
    first failure ends the run."""
    path = os.pathsep.join(str(folder) for folder in (mutant, TESTS) if folder)
    return subprocess.Popen(
        [sys.executable, "-m", "simulation", service, f"{first}", f"{many}", *(["1"] if mutant else [])],
        env=os.environ | UNTOUCHED | {"PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def result(run: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code and output."""
    output, _ = run.communicate()
    return run.returncode, output
