"""A Kubernetes API server of one's own, with the operators' resource types, for tests that apply the manifests.

Operators are not needed, nor nodes for what an API server checks: schemas, defaults, immutable fields, pod security.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY

VARIABLE = "FLEXCREDITS_TEST_KUBECONFIG"
GONE_WITHIN_S = 240
"""Namespaces that an earlier run has deleted. kubectl's own end is after 300 s."""
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
        self, command: list[str | Path], folder: Path = REPOSITORY, text: str | None = None, within_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run any command against this cluster."""
        environment = {**os.environ, "KUBECONFIG": self.kubeconfig}
        return subprocess.run(
            command, cwd=folder, env=environment, input=text, capture_output=True, text=True, timeout=within_s
        )

    def inside(self, namespace: str, pod: str, *command: str, within_s: float = 300) -> str:
        """The output of a command inside a pod; it must succeed."""
        done = self.run(["kubectl", "--namespace", namespace, "exec", pod, "--", *command], within_s=within_s)
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    def skip_without_images(self, *images: str) -> None:
        """Skip the test if no node has them all."""
        nodes = self.objects("nodes")
        if not nodes:
            pytest.skip("the cluster has no node")
        there = {name for node in nodes for image in node["status"].get("images", []) for name in image["names"]}
        if lacking := [each for each in images if not any(name.endswith(f"/{each}") for name in there)]:
            pytest.skip(f"the cluster's node lacks the images {', '.join(lacking)}")

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self("get", *arguments, "--output", "json"))["items"]
        return found

    def versions(self, namespace: str) -> dict[tuple[str, str], int]:
        """Generation of every object of ours: an update that changes the specification raises it."""
        kinds = ",".join(sorted(TYPES | {"deployments", "statefulsets", "jobs", "hpa", "pdb", "networkpolicies"}))
        found = self.objects(kinds, "--namespace", namespace)
        return {(each["kind"], each["metadata"]["name"]): each["metadata"].get("generation", 0) for each in found}


def documented(containing: str) -> str:
    """The only block of shell of docs/deployment.md with these words."""
    page = (REPOSITORY / "docs/deployment.md").read_text()
    [found] = [each for each in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if containing in each]
    return str(found)


@contextmanager
def own_namespaces(*names: str, with_types: Set[str] = frozenset()) -> Iterator[Cluster]:
    """The cluster, if it has the resource types and can be had; otherwise the test is skipped. The namespaces do not exist
    before, and are deleted afterwards."""
    kubeconfig = os.environ.get(VARIABLE)
    if not kubeconfig:
        pytest.skip(f"{VARIABLE} names no cluster for tests")
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    cluster = Cluster(kubeconfig)
    found = cluster.attempt("get", "customresourcedefinitions", "--output", "name", "--request-timeout", "20s")
    if found.returncode:
        pytest.skip(f"no API server answers: {found.stderr.strip()}")
    if lacking := with_types - {line.partition("/")[2] for line in found.stdout.splitlines()}:
        pytest.skip(f"the cluster lacks {', '.join(sorted(lacking))}")
    there = {each["metadata"]["name"]: each["status"]["phase"] for each in cluster.objects("namespaces")}
    if used := sorted(name for name in names if there.get(name) == "Active"):
        pytest.fail(f"the cluster has {', '.join(used)}: the tests need a cluster of their own")
    for name in there.keys() & set(names):  # of an earlier run
        cluster("wait", "--for=delete", f"namespace/{name}", f"--timeout={GONE_WITHIN_S}s")
    try:
        yield cluster
    finally:
        cluster("delete", "namespace", "--ignore-not-found", "--wait=false", *names)
