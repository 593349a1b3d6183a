"""A Kubernetes API server of one's own, with the operators' resource types, for tests that apply the manifests.

Nodes and operators are not needed: what an API server checks (schemas, defaults, immutable fields, pod security) holds without.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flexcredits_cli.machine.state_folder import REPOSITORY

VARIABLE = "FLEXCREDITS_TEST_KUBECONFIG"
TRIAL = "flexcredits-trial"
NAMESPACES = ("flexcredits", "flexcredits-helm", TRIAL)
"""The tests create and delete them, so the cluster must be without them."""
TYPES = {
    "kafkas.kafka.strimzi.io", "kafkanodepools.kafka.strimzi.io", "kafkatopics.kafka.strimzi.io",
    "kafkausers.kafka.strimzi.io", "clusters.postgresql.cnpg.io", "poolers.postgresql.cnpg.io", "scaledobjects.keda.sh",
    "triggerauthentications.keda.sh", "podmonitors.monitoring.coreos.com", "prometheusrules.monitoring.coreos.com",
}  # fmt: skip
"""Custom resources of all overlays."""


@dataclass(frozen=True)
class Cluster:
    kubeconfig: str

    def __call__(self, *arguments: str, text: str | None = None) -> str:
        """The output of kubectl; it must succeed without a warning."""
        done = self.attempt(*arguments, text=text)
        assert done.returncode == 0, f"{arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        assert "Warning:" not in done.stderr, done.stderr
        return done.stdout

    def attempt(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.run(["kubectl", *arguments], text=text)

    def run(
        self, command: list[str | Path], folder: Path = REPOSITORY, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run any command against this cluster."""
        environment = {**os.environ, "KUBECONFIG": self.kubeconfig}
        return subprocess.run(
            command, cwd=folder, env=environment, input=text, capture_output=True, text=True, timeout=300
        )

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self("get", *arguments, "--output", "json"))["items"]
        return found

    def versions(self, namespace: str) -> dict[tuple[str, str], int]:
        """Generation of every object of ours: an update that changes the specification raises it."""
        kinds = ",".join(sorted(TYPES | {"deployments", "statefulsets", "jobs", "hpa", "pdb", "networkpolicies"}))
        found = self.objects(kinds, "--namespace", namespace)
        return {(each["kind"], each["metadata"]["name"]): each["metadata"].get("generation", 0) for each in found}


@cache
def why_no_cluster() -> str:
    """Why no test can run; empty if they can."""
    kubeconfig = os.environ.get(VARIABLE)
    if not kubeconfig:
        return f"{VARIABLE} names no cluster for tests"
    if shutil.which("kubectl") is None:
        return "kubectl is not installed"
    cluster = Cluster(kubeconfig)
    found = cluster.attempt("get", "customresourcedefinitions", "--output", "name", "--request-timeout", "20s")
    if found.returncode:
        return f"no API server answers: {found.stderr.strip()}"
    there = {line.partition("/")[2] for line in found.stdout.splitlines()}
    return f"the cluster lacks {', '.join(sorted(TYPES - there))}" if TYPES - there else ""
