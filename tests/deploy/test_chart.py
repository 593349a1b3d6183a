"""The Helm chart that is made from deploy/k8s renders the same manifests as kustomize. Tests that need Helm may be skipped."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from flexcredits_cli.machine.state_folder import REPOSITORY
from support.clients.helm import helm, helm_fails, helm_template
from support.clients.manifests import K8S, Manifest, environment_of, find, kustomize, read_yaml, render, workloads

DEFAULT = ("strimzi", "cloudnative-pg", "keda", "monitoring", "network-policies")
COMPONENTS = (*DEFAULT, "pooler", "read-replica")
HASH = re.compile(r"((?:kafka|ingest|aggregator|alerter|query-api)-)[a-z0-9]{10}")
SETS = [
    DEFAULT,
    (),
    COMPONENTS,
    *(tuple(each for each in COMPONENTS if each != name) for name in COMPONENTS),
]


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if kustomize() is None:
        pytest.skip("neither kubectl nor kustomize is installed")
    folder = tmp_path_factory.mktemp("chart") / "flexcredits"
    subprocess.run([sys.executable, REPOSITORY / "deploy/helm/write_chart.py", folder], check=True, timeout=60)
    return folder


def overlay(folder: Path, components: tuple[str, ...], **more: Any) -> list[Manifest]:
    """kustomize's output for the production overlay with other components, and with more fields."""
    k8s = Path(os.path.relpath(K8S, folder.resolve()))
    kustomization = read_yaml(K8S / "overlays/prod/kustomization.yaml") | {
        "resources": [str(k8s / "base")],
        "components": [str(k8s / "components" / name) for name in components],
    }
    for name, each in more.items():
        kustomization[name] = [*kustomization.get(name, []), *each]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return render(str(folder))


def comparable(manifests: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    """By kind and name, without the namespace itself, hashes in names, and who manages the manifests."""
    text = HASH.sub(r"\1HASH", json.dumps([each for each in manifests if each["kind"] != "Namespace"]))
    found = json.loads(re.sub(r'(managed-by": ")(?:kustomize|Helm)"', r'\1ANY"', text))
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


@pytest.mark.parametrize(
    ("folder", "components"),
    [("overlays/prod", {}), ("overlays/prod-pooler", {"components": {"pooler": True, "read-replica": True}})],
)
def test_the_chart_renders_the_overlays(folder: str, components: dict[str, Any], chart: Path) -> None:
    rendered = helm_template(chart, components)
    assert comparable(rendered) == comparable(render(folder))
    for _, _, container in workloads(rendered):
        assert environment_of(container, rendered)  # its ConfigMaps are there under the names with a hash


@pytest.mark.parametrize("components", SETS, ids="+".join)
def test_the_chart_renders_any_choice_of_components(components: tuple[str, ...], chart: Path, tmp_path: Path) -> None:
    values = {"components": {name: name in components for name in COMPONENTS}}
    assert comparable(helm_template(chart, values)) == comparable(overlay(tmp_path, components))


def test_values_change_what_an_overlay_would_change(chart: Path, tmp_path: Path) -> None:
    digest = f"sha256:{'1' * 64}"
    pod = {"imagePullSecrets": [{"name": "registry"}], "nodeSelector": {"kubernetes.io/arch": "amd64"}}
    values = {
        "image": {"repository": "images.example.net/flexcredits", "digest": digest},
        "settings": {"ingest": {"LOG_LEVEL": "debug"}, "alerter": {"MAIL_FROM": "usage@example.net"}},
        "secrets": {"flexcredits-smtp": "mail"},
        "pod": pod,
        "services": {
            "alerter": {"replicas": 3},
            "ingest": {"maxReplicas": 30, "resources": {"requests": {"cpu": "2"}}},
        },
        "postgres": {"storage": {"size": "4Ti", "storageClass": "fast"}, "max_connections": "400"},
    }
    patches = [
        (
            {"kind": "Deployment|StatefulSet|Job"},
            [{"op": "add", "path": f"/spec/template/spec/{name}", "value": each} for name, each in pod.items()],
        ),
        ({"kind": "StatefulSet", "name": "alerter"}, [{"op": "replace", "path": "/spec/replicas", "value": 3}]),
        (
            {"kind": "HorizontalPodAutoscaler", "name": "ingest"},
            [{"op": "replace", "path": "/spec/maxReplicas", "value": 30}],
        ),
        (
            {"kind": "Deployment", "name": "ingest"},
            [{"op": "replace", "path": "/spec/template/spec/containers/0/resources/requests/cpu", "value": "2"}],
        ),
        (
            {"kind": "Cluster", "name": "flexcredits-postgres"},
            [
                {"op": "replace", "path": "/spec/storage", "value": {"size": "4Ti", "storageClass": "fast"}},
                {"op": "replace", "path": "/spec/postgresql/parameters/max_connections", "value": "400"},
            ],
        ),
    ]
    expected = overlay(
        tmp_path,
        DEFAULT,
        images=[
            {"name": "images.example.com/flexcredits", "newName": "images.example.net/flexcredits", "digest": digest}
        ],
        patches=[{"target": target, "patch": yaml.safe_dump(patch)} for target, patch in patches],
    )
    for name, variable, value in (("ingest", "LOG_LEVEL", "debug"), ("alerter", "MAIL_FROM", "usage@example.net")):
        [settings] = [
            each for each in expected if HASH.fullmatch(each["metadata"]["name"]) and name in each["metadata"]["name"]
        ]
        settings["data"][variable] = value
    [smtp] = [each for each in secret_references(expected) if each["name"] == "flexcredits-smtp"]
    smtp["name"] = "mail"
    for job in (each for each in expected if each["kind"] == "Job"):
        job["metadata"]["name"] += "-ANY"
    rendered = helm_template(chart, values)
    for job in (each for each in rendered if each["kind"] == "Job"):
        job["metadata"]["name"] = re.sub(r"-[0-9a-f]{8}$", "-ANY", job["metadata"]["name"])
    assert comparable(rendered) == comparable(expected)


def secret_references(manifests: list[Manifest]) -> list[Manifest]:
    variables = [each for _, _, container in workloads(manifests) for each in container.get("env", [])]
    return [each["valueFrom"]["secretKeyRef"] for each in variables if "secretKeyRef" in each.get("valueFrom", {})]


def test_a_changed_setting_restarts_its_service_alone(chart: Path) -> None:
    before, after = helm_template(chart), helm_template(chart, {"settings": {"ingest": {"LOG_LEVEL": "debug"}}})
    changed = {
        each["metadata"]["name"]
        for each, other in zip(before, after, strict=True)
        if each["kind"] != "ConfigMap" and each != other
    }
    assert changed == {"ingest"}


def test_settings_of_kafka_hold_for_services_jobs_and_the_autoscaler(chart: Path) -> None:
    address = "kafka.example.net:9093"
    manifests = helm_template(chart, {"settings": {"kafka": {"KAFKA_BOOTSTRAP": address}}})
    maps = [each["data"] for each in manifests if each["kind"] == "ConfigMap" and "KAFKA_BOOTSTRAP" in each["data"]]
    assert [each["KAFKA_BOOTSTRAP"] for each in maps] == [address] * 2
    [trigger] = find(manifests, "ScaledObject", "aggregator")["spec"]["triggers"]
    assert trigger["metadata"]["bootstrapServers"] == address


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"services": {"ingest": {"replicaCount": 3}}}, "replicaCount"),
        ({"components": {"postgres": False}}, "postgres"),
        ({"secrets": {"smtp": "mail"}}, "smtp"),
        ({"settings": {"ingest": {"HTTP_PROCESSES": 4}}}, "HTTP_PROCESSES"),
        ({"pod": {"securityContext": {"runAsUser": 0}}}, "securityContext"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], named: str, chart: Path, tmp_path: Path) -> None:
    given = tmp_path / "values.yaml"
    given.write_text(yaml.safe_dump(values))
    assert named in helm_fails("template", "flexcredits", chart, "--values", given)


def test_helm_finds_nothing_to_complain_about(chart: Path, tmp_path: Path) -> None:
    subprocess.run([helm(), "lint", "--strict", "--quiet", chart], check=True, timeout=60)
    subprocess.run([helm(), "package", chart, "--destination", tmp_path], check=True, timeout=60)
    version = read_yaml(chart / "Chart.yaml")["version"]
    assert (tmp_path / f"flexcredits-{version}.tgz").exists()
