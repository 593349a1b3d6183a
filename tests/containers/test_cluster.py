"""The commands of the cluster docs as pasted, every overlay and the chart, on a real API server that enforces `restricted`."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from flexcredits_cli.machine.state_folder import REPOSITORY
from support.clients.helm import helm
from support.clients.manifests import K8S, SERVICES, find, render
from support.clients.pod_security import pods
from support.infra.cluster import TYPES, Cluster, documented, own_namespaces
from support.infra.compose import timed

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

TRIAL = "flexcredits-trial"
NAMESPACES = ("flexcredits", "flexcredits-helm", TRIAL)
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
AS_IT_WAS = re.compile(r"unchanged$|^poddisruptionbudget\S* configured$")
"""kubectl always sends the selector of a PodDisruptionBudget, and calls that a change."""
WITHOUT_RESTRICTION = """
apiVersion: v1
kind: Pod
metadata: { name: unrestricted }
spec: { containers: [{ name: main, image: main }] }
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_namespaces(*NAMESPACES, with_types=TYPES) as made:
        yield made


@pytest.fixture(scope="module")
def installed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the documented installation printed. The wait for the jobs needs nodes and is left out."""
    folder = tmp_path_factory.mktemp("operator")
    (folder / "deploy").symlink_to(REPOSITORY / "deploy")
    (folder / "smtp-url.txt").write_text("smtps://mailer:secret@mail.example.com")
    install, wait, _ = documented("create namespace flexcredits\nfor service").partition("kubectl -n flexcredits wait")
    assert wait
    with timed("installation as documented"):
        done = cluster.run(["bash", "-euc", install], folder)
    assert done.returncode == 0, done.stderr
    assert "would violate PodSecurity" not in done.stderr
    return done.stdout


def test_the_documented_commands_create_everything(cluster: Cluster, installed: str) -> None:
    wanted = {(each["kind"].lower(), each["metadata"]["name"]) for each in render("overlays/prod")}
    lines = [line.rpartition(" ")[0].partition("/") for line in installed.splitlines()]
    said = {(kind.partition(".")[0], name) for kind, _, name in lines}
    assert wanted - {("namespace", "flexcredits")} <= said
    [namespace] = [each for each in cluster.objects("namespaces") if each["metadata"]["name"] == "flexcredits"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    secrets = {each["metadata"]["name"] for each in cluster.objects("secrets", "--namespace", "flexcredits")}
    assert secrets >= {"flexcredits-smtp", "flexcredits-unsubscribe", *(f"flexcredits-postgres-{s}" for s in SERVICES)}


def test_a_second_apply_changes_nothing_and_says_so(cluster: Cluster, installed: str) -> None:
    before = cluster.versions("flexcredits")
    assert before
    said = cluster("apply", "-k", "deploy/k8s/overlays/prod").splitlines()
    assert [line for line in said if not AS_IT_WAS.search(line)] == []
    assert cluster.versions("flexcredits") == before


def test_a_setting_of_the_jobs_changes_within_a_version(cluster: Cluster, installed: str, tmp_path: Path) -> None:
    base = os.path.relpath(K8S / "overlays/prod", tmp_path.resolve())
    changed = {"name": "jobs", "behavior": "merge", "literals": ["KAFKA_USERNAME=other"]}
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump({"namespace": "flexcredits", "resources": [base], "configMapGenerator": [changed]})
    )
    said = cluster("apply", "-k", str(tmp_path)).splitlines()
    assert "configmap/jobs configured" in said
    assert [line for line in said if line.startswith("job")] == ["job.batch/migrations-0-1-0 unchanged"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_server_accepts_every_field(cluster: Cluster, tmp_path: Path, overlay: str) -> None:
    """In a namespace where nothing was applied. `strict` refuses fields that the schemas do not know."""
    base = os.path.relpath(K8S / "overlays" / overlay, tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"namespace": TRIAL, "resources": [base]}))
    if TRIAL not in {each["metadata"]["name"] for each in cluster.objects("namespaces")}:
        cluster("create", "namespace", TRIAL)
    said = cluster("apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", str(tmp_path))
    assert len(said.splitlines()) == len(render(f"overlays/{overlay}"))


def test_the_namespace_refuses_a_pod_without_restrictions(cluster: Cluster, installed: str) -> None:
    done = cluster.attempt("apply", "--namespace", "flexcredits", "-f", "-", text=WITHOUT_RESTRICTION)
    assert done.returncode == 1
    assert 'violates PodSecurity "restricted:latest"' in done.stderr


def test_the_namespace_admits_every_pod_of_ours_and_of_strimzi(cluster: Cluster, installed: str) -> None:
    manifests = render("overlays/prod")
    tried = list(pods(manifests))
    assert len(tried) >= len(SERVICES) + 3
    for name, spec in deepcopy(tried):
        for each in (*spec["containers"], *spec.get("initContainers", [])):
            each |= {"name": each["name"].lower(), "image": each.get("image", "of-the-operator")}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "tried-"}, "spec": spec}
        create = ("create", "--namespace", "flexcredits", "--dry-run=server", "-f", "-")
        done = cluster.attempt(*create, text=json.dumps(pod))
        assert done.returncode == 0, f"{name}: {done.stderr}"


def test_the_documented_command_creates_the_pod_for_the_first_key(cluster: Cluster, installed: str) -> None:
    """Its wait and logs need nodes."""
    run, _, rest = documented("run tools").partition("kubectl -n flexcredits wait")
    assert rest.splitlines()[-1] == "kubectl -n flexcredits delete pod tools"
    done = cluster.run(["bash", "-euc", run])
    assert (done.returncode, done.stdout) == (0, "pod/tools created\n"), done.stderr
    account = find(cluster.objects("pods", "--namespace", "flexcredits"), "Pod", "tools")["spec"]["serviceAccountName"]
    assert account == "preparation"
    done = cluster.run(["bash", "-euc", f"{rest.splitlines()[-1]} --wait=false"])
    assert done.returncode == 0, done.stderr


def test_helm_installs_and_upgrades_the_chart(cluster: Cluster, tmp_path: Path) -> None:
    program = helm()
    chart = tmp_path / "flexcredits"
    subprocess.run([sys.executable, REPOSITORY / "deploy/helm/write_chart.py", chart], check=True, timeout=60)
    cluster("create", "namespace", "flexcredits-helm")
    cluster("label", "namespace", "flexcredits-helm", "pod-security.kubernetes.io/enforce=restricted")
    values = tmp_path / "values.yaml"
    values.write_text("settings: { alerter: { MAIL_FROM: credits@acme.example } }\n")
    where = ("--namespace", "flexcredits-helm")
    for verb in "install", "upgrade":
        with timed(f"helm {verb}"):
            done = cluster.run([program, verb, "flexcredits", chart, *where, "--values", values])
        assert done.returncode == 0, done.stderr
    made = {name for kind, name in cluster.versions("flexcredits-helm") if kind in ("Deployment", "StatefulSet")}
    assert made == set(SERVICES)
