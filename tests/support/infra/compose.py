"""docker compose as users run it: a project of its own name, the states of its containers, its published ports."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.machine.state_folder import REPOSITORY
from support.infra.containers import docker_answers


@cache
def compose_answers() -> bool:
    """Whether a Docker engine answers, and the command has compose."""
    return docker_answers() and docker("compose", "version", check=False).returncode == 0


def docker(
    *arguments: str, check: bool = True, within_s: float = 600, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run docker. AssertionError with the end of its output if it fails and `check` is set."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=within_s, **options)
    assert done.returncode == 0 or not check, f"{arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done


@dataclass(frozen=True)
class Project:
    """A compose project. It outlives this object until `down`."""

    name: str
    folder: Path = REPOSITORY
    """Where the compose files and what they mount are."""
    files: tuple[str, ...] = ("docker-compose.yml",)
    profiles: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str) -> str:
        """The output of docker compose; it must succeed."""
        return self.attempt(*arguments, check=True).stdout.strip()

    def attempt(self, *arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        """Run docker compose."""
        options = ["--project-name", self.name]
        options += [part for file in self.files for part in ("--file", file)]
        options += [part for profile in self.profiles for part in ("--profile", profile)]
        environment = {**os.environ, **self.environment}
        return docker("compose", *options, *arguments, check=check, cwd=self.folder, env=environment)

    def containers(self) -> dict[str, dict[str, Any]]:
        """State, health, exit code and id of every container, ended ones too, by its service."""
        lines = self("ps", "--all", "--format", "json").splitlines()
        return {each["Service"]: each for each in map(json.loads, lines)}

    def ended_at(self) -> dict[str, datetime]:
        """When each container that no longer runs ended, by its service."""
        services = {state["ID"]: name for name, state in self.containers().items() if state["State"] == "exited"}
        found = docker("inspect", "--format", "{{slice .Id 0 12}} {{.State.FinishedAt}}", *services).stdout.split()
        return {services[each]: datetime.fromisoformat(at) for each, at in zip(found[::2], found[1::2], strict=True)}

    def logs(self, service: str) -> str:
        said = self.attempt("logs", "--no-color", "--no-log-prefix", service)
        return said.stdout + said.stderr

    def url(self, service: str, port: int) -> str:
        """Address of a published port."""
        return f"http://127.0.0.1:{self('port', service, str(port)).rpartition(':')[2]}"

    def down(self) -> None:
        """Remove containers, networks and volumes."""
        self("down", "--volumes", "--remove-orphans", "--timeout", "2")


def free_port_settings() -> dict[str, str]:
    """The variables of docker-compose.yml that choose ports. Those of query-api and issuer are fixed."""
    names = ("INGEST_PORT", "POSTGRES_PORT", "KAFKA_PORT", "MAILBOX_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
    return {name: str(port) for name, port in zip(names, free_ports(len(names)), strict=True)}


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long the block takes."""
    began = time.monotonic()
    yield
    print(f"\n{what}: {time.monotonic() - began:.1f} s")  # noqa: T201 - the lane's times
