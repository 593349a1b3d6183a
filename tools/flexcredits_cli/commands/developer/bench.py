"""`bench`: runs the load measurements of tests/bench on a Kafka and a PostgreSQL of their own."""

import subprocess
import sys

import typer

from flexcredits_cli.machine.state_folder import REPOSITORY

BENCH = REPOSITORY / "tests" / "bench" / "bench.py"
SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def run_benchmarks(context: typer.Context) -> None:
    """Measure events per second and latency. All arguments are passed to tests/bench/bench.py."""
    raise typer.Exit(subprocess.run([sys.executable, BENCH, *context.args]).returncode)
