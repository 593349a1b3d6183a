"""Manifests as a cluster gets them, and the environment of their containers."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from flexcredits_cli.machine.state_folder import REPOSITORY
from pydantic_settings import BaseSettings

K8S = REPOSITORY / "deploy" / "k8s"
Manifest = dict[str, Any]
SERVICES = {"ingest": "ingest", "aggregator": "aggregator", "alerter": "alerter", "query-api": "query_api"}
"""Each service's module by name."""
WORKLOADS = ("Deployment", "StatefulSet", "Job")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML was built with it: ten times as fast."""
SECRETS = {"flexcredits-export-signing": "0f" * 32, "flexcredits-smtp": "smtps://mailer:secret@mail.example.com"}


def render(folder: str) -> list[Manifest]:
    """kustomize's output for a folder of deploy/k8s. Skips the test without kustomize."""
    command = kustomize()
    if command is None:
        pytest.skip("neither kubectl nor kustomize is installed")
    return rendered(*command, str(K8S / folder))


def kustomize() -> tuple[str, ...] | None:
    for command in (("kustomize", "build"), ("kubectl", "kustomize")):
        if shutil.which(command[0]):
            return command
    return None


@cache
def rendered(*command: str) -> list[Manifest]:
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return list(yaml.load_all(output, LOADER))


def find(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    [found] = [each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def workloads(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Kind and name, pod, and container of every workload."""
    for manifest in manifests:
        if manifest["kind"] in WORKLOADS:
            pod = manifest["spec"]["template"]["spec"]
            [container] = pod["containers"]
            yield f"{manifest['kind']}/{manifest['metadata']['name']}", pod, container


def environment_of(
    container: Manifest, manifests: list[Manifest], secrets: Mapping[str, str] = SECRETS
) -> dict[str, str]:
    """The variables as the kubelet sets them. `secrets` has the value of each Secret by its name; others are made up."""
    environment: dict[str, str] = {}
    for source in container.get("envFrom", []):
        environment |= find(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        environment[variable["name"]] = value_of(variable, secrets)
    return environment


def value_of(variable: Mapping[str, Any], secrets: Mapping[str, str]) -> str:
    if "value" in variable:
        return str(variable["value"])
    [(kind, reference)] = variable["valueFrom"].items()
    if kind == "fieldRef":
        return "pod-0"
    return secrets.get(reference["name"], "secret" * 6)


def settings_of(module: str) -> type[BaseSettings]:
    settings: type[BaseSettings] = import_module(f"{module}.settings").Settings
    return settings


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())
