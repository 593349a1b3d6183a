"""`test`: every check of this repository, the fast and static ones first, pytest's closing line last."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from flexcredits_local.folders import REPOSITORY

SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
BIN = Path(sys.executable).parent
# The launcher is Python without the ending that ruff looks for.
SOURCES = (".", "flexcredits")
STATIC: Sequence[tuple[str, Sequence[str]]] = (
    ("ruff check", ("ruff", "check", *SOURCES)),
    ("ruff format --check", ("ruff", "format", "--check", *SOURCES)),
    ("mypy", ("mypy",)),
    ("lint-imports", ("lint-imports",)),
)


def run_tests(
    context: typer.Context,
    fast: Annotated[bool, typer.Option("--fast", help="Leave out the tests marked slow; they are named.")] = False,
) -> None:
    """Run ruff, mypy, import-linter and pytest; what follows the options goes to pytest."""
    failed = [name for name, command in STATIC if not passes(name, command)]
    if failed:
        print(f"\nfailed before the tests: {', '.join(failed)}", flush=True)
    selection = ["-m", "not slow"] if fast else []
    tests_passed = passes("pytest", ("pytest", *selection, *context.args))
    raise typer.Exit(0 if tests_passed and not failed else 1)


def passes(name: str, command: Sequence[str]) -> bool:
    print(f"== {name}", flush=True)
    program, *arguments = command
    return subprocess.run([BIN / program, *arguments], cwd=REPOSITORY).returncode == 0
