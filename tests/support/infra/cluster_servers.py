"""Postgres, Kafka, mail server and identity provider of `secured_servers` as pods of a cluster, and our base on them."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from support.clients.manifests import K8S, Manifest, render, workloads
from support.infra.cluster import Cluster
from support.infra.secured_compose import CERTIFICATES, make_kafka_users, of_kind, write_keys
from support.infra.secured_servers import IMAGES, KAFKA, LOCAL_BROKER, POSTGRES, servers

OURS, SERVERS = "flexcredits-rollout", "flexcredits-servers"
"""Namespaces. Only the first enforces `restricted`: the servers' images start as root, as operators' do not."""
NEEDED = tuple(IMAGES[name] for name in ("ingest", "cli", "postgres", "kafka", "mailbox"))
REACHED_AS = {"postgres": (POSTGRES, 5432), "kafka": (KAFKA, 9093), "mailbox": ("mail", 1025), "login": ("login", 443)}
SMALL = {"cpu": "50m", "memory": "192Mi"}
"""Requests: one small node carries all pods. Disk space is neither requested nor limited, since a kubelet without
`localStorageCapacityIsolation` has none to give."""
RESOURCES = "/spec/template/spec/containers/0/resources"


@dataclass(frozen=True)
class Servers:
    cluster: Cluster
    folder: Path
    provider: RSAPrivateKey
    """Signs access tokens."""
    passwords: Mapping[str, str]
    """By the name of the Secret that has it."""

    def kafka(self, tool: str, *arguments: str) -> str:
        command = (f"/opt/kafka/bin/{tool}.sh", "--bootstrap-server", LOCAL_BROKER)
        return self.cluster.inside(SERVERS, "kafka", *command, *arguments)

    def addresses(self) -> dict[str, str]:
        found = self.cluster.objects("pods", "--namespace", SERVERS)
        return {each["metadata"]["name"]: each["status"]["podIP"] for each in found}


def start_servers(cluster: Cluster, folder: Path) -> Servers:
    """The servers, ready and with their users, and a pod `client` for requests from inside."""
    key, passwords = write_keys(folder, mail="mail", login="login")
    [database] = of_kind("Cluster")
    containers = servers(folder, database)
    containers["client"] = {"image": IMAGES["ingest"], "entrypoint": ["sleep", "7200"]}
    made = [part for name, service in containers.items() for part in as_pod(name, service)]
    cluster("create", "namespace", SERVERS)
    cluster("apply", "--filename", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    pods = [f"pod/{name}" for name in containers]
    cluster("--namespace", SERVERS, "wait", "--for=condition=Ready", "--timeout=240s", *pods)
    started = Servers(cluster, folder, key, passwords)
    make_kafka_users(started)
    return started


def as_pod(name: str, service: Manifest) -> list[Manifest]:
    """A service of a compose file as a pod, and a Secret with the files that it mounts."""
    files: dict[str, str] = {}
    volumes: list[Manifest] = []
    mounts: list[Manifest] = []
    for source, target in (each.split(":")[:2] for each in service.get("volumes", [])):
        path = Path(source)
        paths = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
        root = path if path.is_dir() else path.parent
        items = [{"key": f"{len(volumes)}-{n}", "path": str(each.relative_to(root))} for n, each in enumerate(paths)]
        files |= {item["key"]: each.read_text() for item, each in zip(items, paths, strict=True)}
        mounts.append({"name": f"mount-{len(volumes)}", "mountPath": target})
        if path.is_file():
            mounts[-1]["subPath"] = path.name
        volumes.append({"name": f"mount-{len(volumes)}", "secret": {"secretName": name, "items": items}})
    for target in service.get("tmpfs", []):
        mounts.append({"name": f"mount-{len(volumes)}", "mountPath": target})
        volumes.append({"name": f"mount-{len(volumes)}", "emptyDir": {}})
    container = {
        "name": "main",
        "image": service["image"],
        "imagePullPolicy": "IfNotPresent",
        "command": service.get("entrypoint", []),
        "args": service.get("command", []),
        "env": [{"name": variable, "value": value} for variable, value in service.get("environment", {}).items()],
        "volumeMounts": mounts,
    }
    if "healthcheck" in service:
        command = service["healthcheck"]["test"][1:]
        container["readinessProbe"] = {"exec": {"command": command}, "periodSeconds": 2, "timeoutSeconds": 5}
    low_ports = {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]}  # as Docker's
    spec = {
        "containers": [container], "volumes": volumes, "securityContext": low_ports, "enableServiceLinks": False,
        "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 5,
    }  # fmt: skip
    where = {"metadata": {"name": name, "namespace": SERVERS}}
    return [
        {"apiVersion": "v1", "kind": "Secret", "stringData": files} | where,
        {"apiVersion": "v1", "kind": "Pod", "spec": spec} | where,
    ]


def write_overlay(started: Servers, folder: Path) -> None:
    """An overlay of the base with the addresses and Secrets of these servers."""
    authority = (started.folder / "authority.crt").read_text()
    of_users = [secret(name, key, started.passwords[name]) for name, key in sorted(secret_keys())]
    of_authorities = [secret(f"flexcredits-{name}", "ca.crt", authority) for name in ("cluster-ca-cert", "postgres-ca")]
    addresses = started.addresses()
    reached = [part for server in REACHED_AS for part in service_of(*REACHED_AS[server], addresses[server])]
    (folder / "added.yaml").write_text(yaml.safe_dump_all([*of_users, *of_authorities, *reached]))
    trusted = f"{CERTIFICATES}/postgres.crt"
    settings = {
        "query-api": ["JWKS_URL=https://login/.well-known/jwks.json", f"SSL_CERT_FILE={trusted}"],
        "alerter": [f"SMTP_CA_FILE={trusted}"],
    }
    small = [
        {"op": "replace", "path": f"{RESOURCES}/requests", "value": SMALL},
        {"op": "remove", "path": f"{RESOURCES}/limits/ephemeral-storage"},
    ]
    one_broker = [{"op": "replace", "path": "/spec/template/spec/containers/0/args/4", "value": "1"}]
    overlay = {
        "namespace": OURS,
        "resources": [os.path.relpath(K8S / "base", folder.resolve()), "added.yaml"],
        "configMapGenerator": [
            {"name": name, "behavior": "merge", "literals": literals} for name, literals in settings.items()
        ],
        "patches": [
            {"target": {"kind": "Deployment|StatefulSet|Job"}, "patch": json.dumps(small)},
            {"target": {"kind": "Job", "name": "topics-.*"}, "patch": json.dumps(one_broker)},
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))


def write_tools(folder: Path) -> None:
    """deploy/k8s/tools.json below the folder, without disk space."""
    pod = json.loads((K8S / "tools.json").read_text())
    for resources in pod["spec"]["containers"][0]["resources"].values():
        del resources["ephemeral-storage"]
    (folder / "deploy/k8s").mkdir(parents=True)
    (folder / "deploy/k8s/tools.json").write_text(json.dumps(pod))


def secret_keys() -> set[tuple[str, str]]:
    """Name and key of every Secret that a container of the base reads; optional ones too."""
    return {
        (reference["name"], reference["key"])
        for _, _, container in workloads(render("base"))
        for variable in container.get("env", [])
        if (reference := variable.get("valueFrom", {}).get("secretKeyRef")) and not reference.get("optional")
    }


def secret(name: str, key: str, value: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}}


def service_of(name: str, port: int, address: str) -> list[Manifest]:
    """A Service that leads to a pod of another namespace."""
    labels = {"kubernetes.io/service-name": name}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": port}]}},
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": name, "labels": labels},
            "addressType": "IPv4", "ports": [{"name": "", "port": port}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        },
    ]  # fmt: skip
