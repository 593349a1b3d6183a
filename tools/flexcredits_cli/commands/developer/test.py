"""`test`: runs every check of this repository. Fast and static checks come first; pytest's summary is the last line."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from flexcredits_cli.embedded.dashboard import ensure_dashboard, workplace
from flexcredits_cli.machine.state_folder import REPOSITORY, state_folder
from flexcredits_cli.terminal.problem import SetupProblem

SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
BIN = Path(sys.executable).parent
# The launcher is Python, but has no .py suffix, so ruff does not find it by itself.
SOURCES = (".", "flexcredits")
USUAL = "not faults and not clients and not containers"
FAST = f"{USUAL} and not slow and not servers"
FAULTS = "faults or smoke"
CLIENTS = "clients or usual_clients"
CONTAINERS = "containers"
ON_CONTAINERS = f"(servers or embedded) and {USUAL} and not usual_clients"
"""The usual tests with a Kafka or Postgres, which are then containers. Those with `embedded` are skipped by name."""
TWO_PROCESSES = ("-n", "2", "--dist", "loadfile")
"""Most tests wait for servers. Each process has servers of its own; the tests of one file run in one process, in order."""
TIME_OF_EACH = ("--durations=0", "--durations-min=1")
"""Each test of CLIENTS is a client: registries and installers take the time."""
PRINTED = ("-s",)
"""The tests of CONTAINERS print how long each step takes."""
PATIENT = ("--timeout", "300")
"""Seconds for each test: at a high load the first one waits minutes for both containers."""
NO_TESTS = 5
"""pytest's exit code if it is given names of tests and none has the marks."""
STATIC: Sequence[tuple[str, Sequence[str]]] = (
    ("ruff check", ("ruff", "check", *SOURCES)),
    ("ruff format --check", ("ruff", "format", "--check", *SOURCES)),
    ("mypy", ("mypy",)),
    ("lint-imports", ("lint-imports",)),
)
DASHBOARD: Sequence[tuple[str, Sequence[str]]] = (
    ("dashboard: npm run check", ("npm", "run", "check")),
    ("dashboard: npm test", ("npm", "test")),
)


def run_tests(
    context: typer.Context,
    fast: Annotated[bool, typer.Option("--fast", help="Only what needs no server and no more than seconds.")] = False,
    faults: Annotated[bool, typer.Option("--faults", help="Only the fault matrix, all of it.")] = False,
    clients: Annotated[bool, typer.Option("--clients", help="Only clients and SDKs from package registries.")] = False,
    containers: Annotated[
        bool, typer.Option("--containers", help="Images, compose, and tests with servers, on a Docker engine.")
    ] = False,
) -> None:
    """Run ruff, mypy, import-linter, the dashboard's checks and pytest. Other arguments go to pytest."""
    failed = [name for name, command in STATIC if not passes(name, command)]
    failed += failed_in_dashboard()
    if failed:
        print(f"\nfailed before the tests: {', '.join(failed)}", flush=True)
    if containers:
        tests_passed = pass_on_containers(context.args)
    else:
        lanes = ((faults, FAULTS, ()), (clients, CLIENTS, TIME_OF_EACH), (fast, FAST, TWO_PROCESSES))
        chosen, how = next(((marks, how) for wanted, marks, how in lanes if wanted), (USUAL, TWO_PROCESSES))
        tests_passed = passes("pytest", ("pytest", "-m", chosen, *how, *context.args))
    raise typer.Exit(0 if tests_passed and not failed else 1)


def pass_on_containers(arguments: Sequence[str]) -> bool:
    """Run what starts images and clusters, then all tests with a Kafka or Postgres. Arguments may name tests of either."""
    codes = [run("pytest: images, compose, cluster", ("pytest", "-m", CONTAINERS, *PRINTED, *arguments))]
    name = "pytest: tests with servers, on containers"
    if engine_answers():
        only = {"FLEXCREDITS_TEST_SERVERS": "containers"}
        how = (*TWO_PROCESSES, *PATIENT)
        codes.append(run(name, ("pytest", "-m", ON_CONTAINERS, *how, *arguments), more=only))
    else:
        print(f"== {name}: skipped, no Docker engine answers", flush=True)
    return 0 in codes and set(codes) <= {0, NO_TESTS}


def engine_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True).returncode == 0


def failed_in_dashboard() -> list[str]:
    """Build the dashboard for the browser tests, then run its size check, lint, type check and unit tests."""
    print("== dashboard: npm run build", flush=True)
    folder = state_folder()
    try:
        ensure_dashboard(folder, print)
    except SetupProblem as problem:
        print(problem, flush=True)
        return ["dashboard: npm run build"]
    place = workplace(folder)
    return [name for name, command in DASHBOARD if not passes(name, command, place)]


def passes(name: str, command: Sequence[str], folder: Path = REPOSITORY) -> bool:
    return run(name, command, folder) == 0


def run(name: str, command: Sequence[str], folder: Path = REPOSITORY, more: Mapping[str, str] | None = None) -> int:
    """The exit code."""
    print(f"== {name}", flush=True)
    program, *arguments = command
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",  # npm's scripts run `node`
        # Tests start more than a thousand Python programs. Without stored bytecode each compiles its imports for a second.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(state_folder().bytecode),
        **(more or {}),
    }
    return subprocess.run([BIN / program, *arguments], cwd=folder, env=environment).returncode
