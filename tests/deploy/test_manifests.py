"""The rendered manifests of deploy/k8s: valid, restricted, and consistent with the services' settings, topics and ports."""

import json
import os
import re
import shutil
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
import pytest
import yaml
from flexcredits_cli.machine.state_folder import REPOSITORY
from pydantic_settings import BaseSettings
from query_api.__main__ import POOLS
from runtime.kafka.clients import KafkaSettings
from runtime.postgres.line import share_of
from runtime.prepare import DatabaseSettings
from support.clients.manifests import (
    K8S,
    SERVICES,
    WORKLOADS,
    Manifest,
    environment_of,
    find,
    read_yaml,
    render,
    settings_of,
    workloads,
)
from support.clients.pod_security import pods, violations

HERE = Path(__file__).parent
OVERLAYS = ["base", "overlays/dev", "overlays/prod", "overlays/prod-pooler"]
COMPONENTS = sorted(path.name for path in (K8S / "components").iterdir())
ASYNCPG = {"PGPASSWORD"}
"""Variables that asyncpg reads itself, so that DSNs contain no password."""
# Secrets that an operator creates from resources in the manifests.
STRIMZI = {"flexcredits-ingest", "flexcredits-aggregator", "flexcredits-alerter"}
CLOUDNATIVE_PG = {"flexcredits-postgres-app"}


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return render(request.param)


@pytest.fixture(scope="module")
def prod() -> list[Manifest]:
    return render("overlays/prod")


def topics() -> dict[str, Any]:
    return {path.stem: read_yaml(path) for path in sorted((REPOSITORY / "schemas" / "topics").glob("*.yaml"))}


def test_every_manifest_is_valid(manifests: list[Manifest]) -> None:
    bundles = [
        json.loads((HERE / "schemas/kubernetes.json").read_text()),
        read_yaml(HERE / "schemas/custom-resources.yaml"),
    ]
    for manifest in manifests:
        [bundle] = [each for each in bundles if manifest["kind"] in each["$defs"]]
        schema = {**bundle, "$ref": f"#/$defs/{manifest['kind']}"}
        problems = [f"{error.instance_path}: {error.message}" for error in jsonschema_rs.iter_errors(schema, manifest)]
        assert not problems, (manifest["kind"], manifest["metadata"]["name"], problems)


def test_a_misspelt_field_is_not_valid() -> None:
    schema = json.loads((HERE / "schemas/kubernetes.json").read_text())
    schema["$ref"] = "#/$defs/Service"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"port": []}}
    assert not jsonschema_rs.is_valid(schema, service)


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_is_in_an_overlay(component: str) -> None:
    overlays = [
        read_yaml(K8S / f"overlays/{name}/kustomization.yaml")["components"] for name in ("prod", "prod-pooler")
    ]
    assert f"../../components/{component}" in chain(*overlays)


def test_services_use_the_pooler_and_what_holds_locks_of_its_session_uses_postgres() -> None:
    manifests = render("overlays/prod-pooler")
    hosts = {
        name: urlsplit(environment_of(container, manifests)["POSTGRES_DSN"]).hostname
        for name, _, container in workloads(manifests)
        if "POSTGRES_DSN" in environment_of(container, manifests)
    }
    pooler = "flexcredits-postgres-pooler"
    assert hosts.pop("Job/migrations-0-1-0") == "flexcredits-postgres-rw"
    assert set(hosts.values()) == {pooler}
    assert len(hosts) == 4
    assert find(manifests, "Pooler", pooler)["spec"]["pgbouncer"]["poolMode"] == "transaction"
    [cluster] = [each for each in manifests if each["kind"] == "Cluster"]
    assert cluster["spec"]["certificates"]["serverAltDNSNames"] == [pooler], "verify-full"
    assert cluster["spec"]["postgresql"]["parameters"]["hot_standby_feedback"] == "on"
    assert "max_connections" in cluster["spec"]["postgresql"]["parameters"], "the others are kept"
    [query] = [container for name, _, container in workloads(manifests) if name == "Deployment/query-api"]
    replica = urlsplit(environment_of(query, manifests)["POSTGRES_READ_DSN"])
    assert (replica.username, replica.hostname) == ("flexcredits_api", "flexcredits-postgres-ro")


def test_poolers_are_no_first_choice_for_eviction_and_run_on_different_nodes() -> None:
    """All services lose Postgres with them."""
    name = "flexcredits-postgres-pooler"
    pod = find(render("overlays/prod-pooler"), "Pooler", name)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert (container["name"], set(container["resources"])) == ("pgbouncer", {"requests", "limits"})
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    [spread] = pod["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == {"cnpg.io/poolerName": name}


RESERVED = 10
"""Connections of Postgres for migrations, commands, its operator and superusers."""


def connections_of(service: str) -> int:
    """Connections to Postgres of one process of a service, which may all be open under load."""
    if service == "query-api":
        return sum(size for size, _ in POOLS.values()) + 1  # readiness
    sources = (REPOSITORY / "services" / service).rglob("*.py")
    return sum(int(size) for path in sources for size in re.findall(r"\bsize=(\d+)", path.read_text()))


def processes_of(service: str, manifests: list[Manifest]) -> int:
    found = {each["kind"]: each["spec"] for each in manifests if each["metadata"]["name"] == service and "spec" in each}
    for kind, field in (("HorizontalPodAutoscaler", "maxReplicas"), ("ScaledObject", "maxReplicaCount")):
        if kind in found:
            return int(found[kind][field])
    return int(found["StatefulSet"]["replicas"])


@pytest.mark.parametrize("overlay", ["prod", "dev"])
def test_postgres_has_a_connection_for_each_that_services_open(overlay: str) -> None:
    manifests = render(f"overlays/{overlay}")
    assert connections_of("alerter") == 10
    opened = sum(processes_of(each, manifests) * connections_of(each) for each in SERVICES)
    parameters = find(manifests, "Cluster", "flexcredits-postgres")["spec"]["postgresql"]["parameters"]
    assert opened + RESERVED <= int(parameters["max_connections"])


def test_one_organization_cannot_hold_all_sessions_of_a_pooler() -> None:
    """Organizations share the connections of a process fairly; PgBouncer's sessions, they share with all processes."""
    manifests = render("overlays/prod-pooler")
    spec = find(manifests, "Pooler", "flexcredits-postgres-pooler")["spec"]
    limits = {name: int(value) for name, value in spec["pgbouncer"]["parameters"].items()}
    processes = processes_of("query-api", manifests)
    held = processes * sum(share_of(size) for size, _ in POOLS.values())
    assert limits["default_pool_size"] >= held + processes * 2, "readiness, and one session for each process's others"
    assert limits["max_db_connections"] >= limits["default_pool_size"] + 20, "the other services"
    parameters = find(manifests, "Cluster", "flexcredits-postgres")["spec"]["postgresql"]["parameters"]
    assert spec["instances"] * limits["max_db_connections"] + RESERVED <= int(parameters["max_connections"])
    assert limits["max_client_conn"] >= sum(processes_of(each, manifests) * connections_of(each) for each in SERVICES)


def test_every_pod_passes_restricted_pod_security(manifests: list[Manifest]) -> None:
    [namespace] = [each for each in manifests if each["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {each["metadata"].get("namespace") for each in manifests if each is not namespace} == {
        namespace["metadata"]["name"]
    }
    refused = {name: problems for name, pod in pods(manifests) if (problems := violations(pod))}
    assert not refused


def test_our_pods_are_stricter_than_restricted(manifests: list[Manifest]) -> None:
    for name, pod, container in workloads(manifests):
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["automountServiceAccountToken"] is False, name
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
        assert all(set(volume) - {"name"} <= {"emptyDir", "projected"} for volume in pod["volumes"]), name


CONTEXT: Manifest = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
POD: Manifest = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "main", "securityContext": CONTEXT}],
}


@pytest.mark.parametrize(
    ("pod", "container"),
    [
        ({"securityContext": {}}, {}),
        ({"hostNetwork": True}, {}),
        ({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}, {}),
        ({}, {"securityContext": {}}),
        ({}, {"securityContext": {**CONTEXT, "runAsUser": 0}}),
        ({}, {"securityContext": {**CONTEXT, "runAsNonRoot": False}}),
        ({}, {"securityContext": {**CONTEXT, "privileged": True}}),
        ({}, {"securityContext": {**CONTEXT, "seccompProfile": {"type": "Unconfined"}}}),
        ({}, {"securityContext": {**CONTEXT, "capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}}),
        ({}, {"ports": [{"containerPort": 80, "hostPort": 80}]}),
        ({}, {"lifecycle": {"preStop": {"httpGet": {"host": "10.0.0.1", "port": 80}}}}),
        ({"initContainers": [{"name": "first"}]}, {}),
    ],
)
def test_restricted_refuses(pod: Manifest, container: Manifest) -> None:
    assert not violations(POD)
    assert violations({**POD, "containers": [{**POD["containers"][0], **container}], **pod})


def test_every_container_has_resources_and_a_fixed_image(manifests: list[Manifest]) -> None:
    for name, pod, container in workloads(manifests):
        assert set(container["resources"]["requests"]) == {"cpu", "memory", "ephemeral-storage"}, name
        assert set(container["resources"]["limits"]) == {"memory", "ephemeral-storage"}, name
        # The limit counts what volumes hold beside logs, of which the kubelet keeps up to 50 MiB by default.
        volumes = sum(mebibytes(each["emptyDir"]["sizeLimit"]) for each in pod["volumes"] if "emptyDir" in each)
        assert mebibytes(container["resources"]["limits"]["ephemeral-storage"]) >= volumes + 64, name
        tag = container["image"].rpartition(":")[2]
        assert re.fullmatch(r"v?\d+(\.\d+)+", tag), (name, container["image"])


def mebibytes(quantity: str) -> int:
    number, unit = quantity[:-2], quantity[-2:]
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]


def test_deployments_name_the_type_of_their_strategy(manifests: list[Manifest]) -> None:
    """kubectl removes fields of a strategy that the manifest lacks, also a default, so every apply would change it."""
    strategies = [each["spec"].get("strategy") for each in manifests if each["kind"] == "Deployment"]
    assert [each["type"] for each in strategies if each] == ["RollingUpdate"] * 2


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_its_probes_on_the_probe_port(service: str, manifests: list[Manifest]) -> None:
    [(_, _, container)] = [each for each in workloads(manifests) if each[0].endswith(f"/{service}")]
    environment = environment_of(container, manifests)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["probes"] == int(environment["PROBE_PORT"])
    assert ports.get("http") == (int(environment["HTTP_PORT"]) if "HTTP_PORT" in environment else None)
    paths = {"startupProbe": "/health/started", "livenessProbe": "/health/live", "readinessProbe": "/health/ready"}
    for probe, path in paths.items():
        assert container[probe]["httpGet"] == {"path": path, "port": "probes"}


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_starts_with_its_environment(
    service: str, manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    [(_, pod, container)] = [each for each in workloads(manifests) if each[0].endswith(f"/{service}")]
    assert container["args"] == [SERVICES[service]]
    settings = settings_of(SERVICES[service])
    hold_to_settings(environment_of(container, manifests), [settings], monkeypatch)
    settings()
    assert pod["terminationGracePeriodSeconds"] >= 5 + 15


def test_every_job_starts_with_its_environment(manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = {name: container for name, _, container in workloads(manifests) if name.startswith("Job/")}
    assert any("migrations" in name for name in jobs)
    for container in jobs.values():
        assert container["args"][0] == "runtime.prepare"
        hold_to_settings(environment_of(container, manifests), [DatabaseSettings, KafkaSettings], monkeypatch)
        (DatabaseSettings if "migrations" in container["args"] else KafkaSettings)()


def test_changed_settings_leave_jobs_as_they_are(tmp_path: Path) -> None:
    """The API server refuses an apply that changes a job's pod template."""
    generators = [
        {"name": name, "behavior": "merge", "literals": ["KAFKA_BOOTSTRAP=kafka.example.com:9093"]}
        for name in ("kafka", "jobs")
    ]
    overlay = {"resources": [os.path.relpath(K8S / "base", tmp_path)], "configMapGenerator": generators}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    before, after = render("base"), render(str(tmp_path))

    def jobs(manifests: list[Manifest]) -> list[Manifest]:
        return [each for each in manifests if each["kind"] == "Job"]

    assert find(after, "ConfigMap", "jobs")["data"]["KAFKA_BOOTSTRAP"] == "kafka.example.com:9093"
    assert len(jobs(before)) == 2
    assert jobs(after) == jobs(before)


def test_jobs_reach_the_same_kafka_as_services(manifests: list[Manifest]) -> None:
    jobs = find(manifests, "ConfigMap", "jobs")["data"]
    [kafka] = [
        each["data"]
        for each in manifests
        if each["kind"] == "ConfigMap" and re.fullmatch(r"kafka-\w+", each["metadata"]["name"])
    ]
    assert jobs.items() >= kafka.items()


def hold_to_settings(
    environment: dict[str, str], settings: list[type[BaseSettings]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that the process reads every variable, then set them as its environment."""
    known = {name.upper() for each in settings for name in each.model_fields} | ASYNCPG
    assert set(environment) <= known
    for name in known:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_secrets_come_by_reference_alone(manifests: list[Manifest]) -> None:
    assert "Secret" not in {each["kind"] for each in manifests}
    secret = re.compile(r"PASSWORD|SECRET|SMTP_URL")
    for name, _, container in workloads(manifests):
        for variable in container.get("env", []):
            if secret.search(variable["name"]) and variable.get("value") != "smtp://mailbox:1025":
                assert "secretKeyRef" in variable["valueFrom"], (name, variable["name"])
        for variable, value in environment_of(container, manifests).items():
            assert not re.search(r"//[^/@]*:[^/@]*@", value) or variable == "SMTP_URL", (name, variable)
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap":
            assert not [key for key in manifest["data"] if secret.search(key)]


def test_the_docs_name_every_secret_that_users_must_create(prod: list[Manifest]) -> None:
    references = [
        variable["valueFrom"]["secretKeyRef"]["name"]
        for _, _, container in workloads(prod)
        for variable in container.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    ]
    wanted = set(references) - STRIMZI - CLOUDNATIVE_PG
    deployment = (REPOSITORY / "docs/deployment.md").read_text()
    assert len(wanted) == 8
    assert not [name for name in wanted if f"`{name}`" not in deployment]


@pytest.mark.parametrize("service", SERVICES)
def test_a_disruption_takes_one_pod_at_a_time(service: str, manifests: list[Manifest]) -> None:
    [workload] = [each for each in manifests if each["kind"] in WORKLOADS and each["metadata"]["name"] == service]
    budget = find(manifests, "PodDisruptionBudget", service)["spec"]
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert workload["spec"]["selector"] == budget["selector"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    spread = workload["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert all(each["labelSelector"] == budget["selector"] for each in spread)
    account = find(manifests, "ServiceAccount", workload["spec"]["template"]["spec"]["serviceAccountName"])
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("service", ["ingest", "query-api"])
def test_customers_reach_the_http_port(service: str, manifests: list[Manifest]) -> None:
    [port] = find(manifests, "Service", service)["spec"]["ports"]
    assert port["targetPort"] == "http"
    labels = find(manifests, "Deployment", service)["spec"]["template"]["metadata"]["labels"]
    assert find(manifests, "Service", service)["spec"]["selector"].items() <= labels.items()
    scaler = find(manifests, "HorizontalPodAutoscaler", service)["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": service}
    assert (
        "replicas" not in find(manifests, "Deployment", service)["spec"]
    )  # otherwise each apply would override the autoscaler


@pytest.mark.parametrize("service", ["aggregator", "alerter"])
def test_a_restarted_consumer_is_the_same_member_of_its_group(service: str, manifests: list[Manifest]) -> None:
    [container] = find(manifests, "StatefulSet", service)["spec"]["template"]["spec"]["containers"]
    [instance] = [each for each in container["env"] if each["name"] == "CONSUMER_INSTANCE"]
    assert instance["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_there_are_never_more_aggregators_than_partitions(prod: list[Manifest]) -> None:
    scaler = find(prod, "ScaledObject", "aggregator")["spec"]
    [trigger] = scaler["triggers"]
    assert scaler["maxReplicaCount"] == topics()[trigger["metadata"]["topic"]]["partitions"]
    environment = environment_of(
        find(prod, "StatefulSet", "aggregator")["spec"]["template"]["spec"]["containers"][0], prod
    )
    assert trigger["metadata"]["bootstrapServers"] == environment["KAFKA_BOOTSTRAP"]
    assert trigger["metadata"]["consumerGroup"] == settings_of("aggregator").model_fields["consumer_group"].default
    assert "replicas" not in find(prod, "StatefulSet", "aggregator")["spec"]
    assert find(render("base"), "StatefulSet", "aggregator")["spec"]["replicas"] == scaler["minReplicaCount"] == 2


@pytest.mark.parametrize(("overlay", "replicas"), [("dev", 1), ("prod", 3)])
def test_topics_are_those_of_the_schemas(overlay: str, replicas: int) -> None:
    made = {
        each["metadata"]["name"]: each["spec"] for each in render(f"overlays/{overlay}") if each["kind"] == "KafkaTopic"
    }
    assert made == {
        name: {"partitions": topic["partitions"], "replicas": replicas, "config": topic["config"]}
        for name, topic in topics().items()
    }


def test_kafka_users_may_do_what_the_topics_say_and_no_more(prod: list[Manifest]) -> None:
    for service in ("ingest", "aggregator", "alerter"):
        rights = {
            (acl["resource"]["type"], acl["resource"]["name"]): acl["operations"]
            for acl in find(prod, "KafkaUser", f"flexcredits-{service}")["spec"]["authorization"]["acls"]
        }
        writes = {
            ("topic", name): ["Write", "Describe"] for name, topic in topics().items() if service in topic["producers"]
        }
        read = [
            "Read",
            "Describe",
            *(["DescribeConfigs"] if service == "aggregator" else []),
        ]  # it warns about compaction
        reads = {("topic", name): read for name, topic in topics().items() if service in topic["consumers"]}
        group = {} if service == "ingest" else {("group", service): ["Read", "Describe"]}
        assert rights == {**writes, **reads, **group}


def test_postgres_lets_every_role_of_ours_in(prod: list[Manifest]) -> None:
    cluster = find(prod, "Cluster", "flexcredits-postgres")["spec"]
    roles = {role["name"]: role.get("passwordSecret", {}).get("name") for role in cluster["managed"]["roles"]}
    for name, _, container in workloads(prod):
        environment = environment_of(container, prod)
        if "migrations" in name or name.startswith(("Deployment", "StatefulSet")):
            role = environment["POSTGRES_DSN"].partition("//")[2].partition("@")[0]
            [password] = [each for each in container["env"] if each["name"] == "PGPASSWORD"]
            assert password["valueFrom"]["secretKeyRef"]["name"] == (roles[role] or "flexcredits-postgres-app")


def test_network_policies_name_pods_and_ports_that_exist(prod: list[Manifest]) -> None:
    pods = {
        each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
        for each in prod
        if each["kind"] in WORKLOADS
    }
    policies = [each["spec"] for each in prod if each["kind"] == "NetworkPolicy"]
    ports = {port["name"] for _, _, container in workloads(prod) for port in container.get("ports", [])}
    covered = set()
    for policy in policies:
        names = selected(policy["podSelector"])
        # With Strimzi, topics are resources, so their job does not exist. Users create the tools pod.
        assert names - {"topics", "tools"} <= pods
        covered |= names if {"Ingress", "Egress"} <= set(policy["policyTypes"]) else set()
        for rule in policy.get("ingress", []) if names else []:
            assert {each["port"] for each in rule["ports"]} <= ports
    assert pods <= covered


def test_servers_let_those_in_whose_policies_let_them_out() -> None:
    """Postgres and its pooler by policies, Kafka by what its operator makes a policy of."""
    manifests = render("overlays/prod-pooler")
    policies = {each["metadata"]["name"]: each["spec"] for each in manifests if each["kind"] == "NetworkPolicy"}
    assert clients(policies["postgres-clients"]["ingress"], 5432) == selected(policies["postgres"]["podSelector"])
    assert clients(policies["pooler-clients"]["ingress"], 5432) == set(SERVICES)
    for kind, name, label in (
        ("Cluster", "postgres-clients", "cnpg.io/cluster"),
        ("Pooler", "pooler-clients", "cnpg.io/poolerName"),
    ):
        [server] = [each for each in manifests if each["kind"] == kind]
        assert policies[name]["podSelector"] == {"matchLabels": {label: server["metadata"]["name"]}}
    [listener] = find(manifests, "Kafka", "flexcredits")["spec"]["kafka"]["listeners"]
    let_in = clients([{"from": listener["networkPolicyPeers"], "ports": [{"port": listener["port"]}]}], 9093)
    assert let_in == selected(policies["kafka"]["podSelector"]) - {"topics"}


def selected(selector: Manifest) -> set[str]:
    """The pods of ours that a policy selects."""
    found = {name for each in selector.get("matchExpressions", []) for name in each["values"]}
    return found | {value for key, value in selector.get("matchLabels", {}).items() if key == "app.kubernetes.io/name"}


def clients(rules: list[Manifest], port: int) -> set[str]:
    """The pods of ours that may connect to the port."""
    peers = [
        peer for rule in rules if port in [each["port"] for each in rule.get("ports", [])] for peer in rule["from"]
    ]
    return {name for peer in peers if "namespaceSelector" not in peer for name in selected(peer["podSelector"])}


def test_the_production_overlay_takes_the_image_by_digest(tmp_path: Path) -> None:
    overlay = K8S / "overlays/prod/kustomization.yaml"
    placeholder = re.search(r"^ +# (digest: sha256:)\.\.\.$", overlay.read_text(), re.MULTILINE)
    assert placeholder
    shutil.copytree(K8S.parent, tmp_path / "deploy")
    chosen = tmp_path / "deploy/k8s/overlays/prod"
    digest = "1" * 64
    named = overlay.read_text().replace(f"# {placeholder[1]}...", f"{placeholder[1]}{digest}")
    (chosen / "kustomization.yaml").write_text(named)
    images = [container["image"] for _, _, container in workloads(render(str(chosen)))]
    assert set(images) == {f"images.example.com/flexcredits@sha256:{digest}"}


def test_jobs_and_images_bear_the_version(manifests: list[Manifest]) -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    for name, _, container in workloads(manifests):
        if "flexcredits" in container["image"]:
            assert container["image"].endswith(f"flexcredits:{version}")
        if name.startswith("Job/"):
            assert name.endswith(version.replace(".", "-"))
