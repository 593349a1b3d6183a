"""`test`: runs every check of this repository. Fast and static checks come first; pytest's summary is the last line."""

import os
import subprocess
import sys
from collections.abc import Sequence
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
TWO_PROCESSES = ("-n", "2", "--dist", "loadfile")
"""Most tests wait for servers. Each process has servers of its own; the tests of one file run in one process, in order."""
TIME_OF_EACH = ("--durations=0", "--durations-min=1")
"""Each test of CLIENTS is a client: registries and installers take the time."""
PRINTED = ("-s",)
"""The tests of CONTAINERS print how long each step takes."""
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
        bool, typer.Option("--containers", help="Only images and compose, on a Docker engine.")
    ] = False,
) -> None:
    """Run ruff, mypy, import-linter, the dashboard's checks and pytest. Other arguments go to pytest."""
    failed = [name for name, command in STATIC if not passes(name, command)]
    failed += failed_in_dashboard()
    if failed:
        print(f"\nfailed before the tests: {', '.join(failed)}", flush=True)
    lanes = (
        (faults, FAULTS, ()),
        (clients, CLIENTS, TIME_OF_EACH),
        (containers, CONTAINERS, PRINTED),
        (fast, FAST, TWO_PROCESSES),
    )
    chosen, how = next(((marks, how) for wanted, marks, how in lanes if wanted), (USUAL, TWO_PROCESSES))
    tests_passed = passes("pytest", ("pytest", "-m", chosen, *how, *context.args))
    raise typer.Exit(0 if tests_passed and not failed else 1)


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
    print(f"== {name}", flush=True)
    program, *arguments = command
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",  # npm's scripts run `node`
        # Tests start more than a thousand Python programs. Without stored bytecode each compiles its imports for a second.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(state_folder().bytecode),
    }
    return subprocess.run([BIN / program, *arguments], cwd=folder, env=environment).returncode == 0
