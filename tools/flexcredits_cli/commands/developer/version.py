"""`version`: prints the version of the root pyproject.toml, or writes a new version there and into every copy."""

import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer

from flexcredits_cli.machine.state_folder import REPOSITORY
from flexcredits_cli.terminal.output import AsJson, print_json
from flexcredits_cli.terminal.problem import SetupProblem

VERSION = re.compile(r"\d+\.\d+\.\d+")
COPIES = {
    "docker-compose.yml": ("flexcredits:{}", "flexcredits-tools:{}"),
    "Dockerfile": ("ARG VERSION={}", "flexcredits:{}", "flexcredits-tools:{}"),
    "deploy/helm/Chart.yaml": ("\nversion: {}\n", "\nappVersion: {}\n"),
    "deploy/k8s/base/kustomization.yaml": ("app.kubernetes.io/version: {}", "newTag: {}"),
    "deploy/k8s/base/jobs.yaml": ("name: migrations-{}", "name: topics-{}"),
    "docs/deployment.md": ("flexcredits-tools:{}",),
    "schemas/asyncapi.yaml": ("\n  version: {}\n",),
    "schemas/http/ingest-api.json": ('"version": "{}"',),
    "schemas/http/query-api.json": ('"version": "{}"',),
}
"""Patterns around the version, by file. Kubernetes names have dashes instead of dots."""
IN_PROJECT = '\nversion = "{}"\n'


def version(
    new: Annotated[
        str | None, typer.Argument(help="New version, as 1.2.0. It is written into every file that has it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the version, or write a new one into every file that has it and close the changelog's Unreleased section."""
    if new is not None:
        if not VERSION.fullmatch(new):
            raise SetupProblem(f"{new!r} is not a version: write three numbers, as 1.2.0.")
        if not (REPOSITORY / "pyproject.toml").exists():
            raise SetupProblem("this is an installation, not a checkout: it has no files with a version.")
        write_version(REPOSITORY, new)
    shown = new or installed_version("flexcredits-cli")
    if as_json:
        print_json({"version": shown})
    else:
        typer.echo(shown)


def print_version(is_given: bool) -> None:
    """For the option --version, which ends the program."""
    if is_given:
        typer.echo(installed_version("flexcredits-cli"))
        raise typer.Exit


def current_version(repository: Path) -> str:
    return str(tomllib.loads((repository / "pyproject.toml").read_text())["project"]["version"])


def copies(repository: Path) -> Iterator[tuple[Path, str]]:
    """Every file that contains the version, with the pattern around it."""
    root = repository / "pyproject.toml"
    members = tomllib.loads(root.read_text())["tool"]["uv"]["workspace"]["members"]
    for path in (root, *(repository / member / "pyproject.toml" for member in members)):
        yield path, IN_PROJECT
    for name, patterns in COPIES.items():
        for pattern in patterns:
            yield repository / name, pattern


def format_version(pattern: str, number: str) -> str:
    return pattern.format(number.replace(".", "-") if pattern.startswith("name: ") else number)


def write_version(repository: Path, new: str) -> None:
    old = current_version(repository)
    for path, pattern in list(copies(repository)):
        text, known = path.read_text(), format_version(pattern, old)
        if known not in text:
            raise SetupProblem(
                f"{path} does not contain {known.strip()!r}: all files must have version {old} before a change."
            )
        path.write_text(text.replace(known, format_version(pattern, new)))
    changelog = repository / "CHANGELOG.md"
    heading = f"## Unreleased\n\n## {new} - {datetime.now(UTC).date()}"
    changelog.write_text(changelog.read_text().replace("## Unreleased", heading, 1))
