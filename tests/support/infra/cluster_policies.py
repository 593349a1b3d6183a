"""Pods with the labels and ports of our services, their servers and who is around them, which only listen: the network policies
say what each may connect to."""

import json
from collections.abc import Mapping

from support.clients.manifests import SERVICES, Manifest, find, render
from support.infra.cluster import Cluster
from support.infra.secured_servers import IMAGES

OURS, SERVERS = "flexcredits-policies", "flexcredits-servers"
AROUND = ("monitoring", "cnpg-system", "keda")
"""Namespaces of Prometheus and of two operators, by which the policies know them."""
LISTEN = """
import socket, sys, time
open_ports = [socket.create_server(("", int(port))) for port in sys.argv[1:]]
time.sleep(7200)
"""
CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reaches(address):
    try:
        socket.create_connection(address, 5).close()
        return True
    except OSError:
        return False
addresses = json.loads(sys.argv[1])
with ThreadPoolExecutor(20) as pool:
    reached = pool.map(reaches, map(tuple, addresses.values()))
print(json.dumps([name for name, open_ in zip(addresses, reached) if open_]))
"""
OPERATED = {
    "operated-postgres": ({"cnpg.io/cluster": "flexcredits-postgres"}, {"sql": 5432, "status": 8000, "metrics": 9187}),
    "operated-pooler": ({"cnpg.io/poolerName": "flexcredits-postgres-pooler"}, {"sql": 5432, "metrics": 9127}),
    "operated-kafka": ({"strimzi.io/cluster": "flexcredits", "strimzi.io/kind": "Kafka"}, {"clients": 9093}),
}
"""Pods with the labels and ports of those that CloudNativePG and Strimzi make. They only listen."""
SQL = {"operated-postgres sql", "operated-pooler sql"}
REQUESTS = {"ingest http", "query-api http"}
PROBES = {f"{service} probes" for service in SERVICES}
MAY_REACH = {
    (OURS, "ingest"): {"postgres", "kafka", *SQL, "operated-kafka clients"},
    (OURS, "aggregator"): {"postgres", "kafka", *SQL, "operated-kafka clients"},
    (OURS, "alerter"): {"postgres", "kafka", "mailbox", *SQL, "operated-kafka clients"},
    (OURS, "query-api"): {"postgres", "login", *SQL},
    (OURS, "operated-pooler"): {*REQUESTS, "operated-postgres sql"},
    (OURS, "stranger"): REQUESTS,
    (SERVERS, "client"): REQUESTS,
    ("monitoring", "stranger"): {*REQUESTS, *PROBES, "operated-postgres metrics", "operated-pooler metrics"},
    ("cnpg-system", "stranger"): {*REQUESTS, "operated-postgres sql", "operated-postgres status"},
    ("keda", "stranger"): {*REQUESTS, "operated-kafka clients"},
}
"""What each pod may connect to, by its namespace, and its name or service. No policy limits who comes to the servers of SERVERS, so strangers are
not asked about these. Webhooks have the port of `login`, but go to public addresses only."""
CLOSED = {
    "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "closed"},
    "spec": {"podSelector": {"matchLabels": {"tried": "closed"}}, "policyTypes": ["Ingress"]},
}  # fmt: skip
ELSEWHERE = {"postgres": 5432, "kafka": 9093, "mailbox": 587, "login": 443}
"""Servers in a namespace without policies, as outside of the cluster."""
Addresses = dict[str, tuple[str, int]]


def listening(name: str, labels: Mapping[str, str], *ports: int) -> Manifest:
    """A pod that `restricted` admits and that listens on the ports."""
    container = {
        "name": "main", "image": IMAGES["ingest"], "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", LISTEN, *map(str, ports)],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip
    spec = {
        "containers": [container], "automountServiceAccountToken": False, "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
        },
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": dict(labels)}, "spec": spec}


def start(cluster: Cluster) -> None:
    """All pods, two of each service, under the policies of the manifests and one that closes a pod."""
    manifests = render("overlays/prod-pooler")
    ours = [pod for each in manifests if each["metadata"]["name"] in SERVICES for pod in pods_of(each)]
    policies = [each for each in manifests if each["kind"] == "NetworkPolicy"]
    operated = [listening(name, labels, *ports.values()) for name, (labels, ports) in OPERATED.items()]
    elsewhere = [listening(name, {}, port) for name, port in ELSEWHERE.items()]
    closed = [listening("client", {}), listening("closed", {"tried": "closed"}, 8000), CLOSED]
    named = [{**each, "metadata": {"name": each["metadata"]["name"]}} for each in policies]
    everything = {
        OURS: [*ours, *operated, listening("stranger", {}), *named, policy_of_listener()],
        SERVERS: [*elsewhere, *closed],
        **{namespace: [listening("stranger", {})] for namespace in AROUND},
    }
    for namespace, made in everything.items():
        cluster("create", "namespace", namespace)
        create(cluster, namespace, *made)
    for namespace in everything:
        cluster("--namespace", namespace, "wait", "--for=condition=Ready", "--timeout=120s", "pods", "--all")


def pods_of(workload: Manifest) -> list[Manifest]:
    """Two pods with the labels and named ports of a service's."""
    if workload["kind"] not in ("Deployment", "StatefulSet"):
        return []
    template = workload["spec"]["template"]
    ports = template["spec"]["containers"][0]["ports"]
    made = []
    for number in (0, 1):
        name = f"{workload['metadata']['name']}-{number}"
        pod = listening(name, template["metadata"]["labels"], *(each["containerPort"] for each in ports))
        pod["spec"]["containers"][0]["ports"] = ports
        made.append(pod)
    return made


def create(cluster: Cluster, namespace: str, *manifests: Manifest) -> None:
    made = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    cluster("--namespace", namespace, "apply", "--filename", "-", text=json.dumps(made))


def policy_of_listener() -> Manifest:
    [listener] = find(render("overlays/prod"), "Kafka", "flexcredits")["spec"]["kafka"]["listeners"]
    rule = {"from": listener["networkPolicyPeers"], "ports": [{"port": listener["port"], "protocol": "TCP"}]}
    labels, _ = OPERATED["operated-kafka"]
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "operated-kafka"},
        "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"], "ingress": [rule]},
    }  # fmt: skip


def running(cluster: Cluster, namespace: str) -> dict[str, Manifest]:
    """Pods by name."""
    found = cluster.objects("pods", "--namespace", namespace, "--field-selector", "status.phase=Running")
    return {each["metadata"]["name"]: each for each in found if "deletionTimestamp" not in each["metadata"]}


def label_of(pod: Manifest) -> str:
    return str(pod["metadata"].get("labels", {}).get("app.kubernetes.io/name", ""))


def addresses(pods: Mapping[str, Manifest]) -> Addresses:
    """Every port of OPERATED, and of the first pod of each service."""
    found: Addresses = {}
    for name, pod in pods.items():
        address = pod["status"]["podIP"]
        if name in OPERATED:
            found |= {f"{name} {port}": (address, number) for port, number in OPERATED[name][1].items()}
        elif (service := label_of(pod)) in SERVICES:
            for port in pod["spec"]["containers"][0]["ports"]:
                found.setdefault(f"{service} {port['name']}", (address, port["containerPort"]))
    return found


def addresses_of_servers(cluster: Cluster) -> Addresses:
    pods = running(cluster, SERVERS)
    return {name: (pods[name]["status"]["podIP"], port) for name, port in ELSEWHERE.items()}


def reached(cluster: Cluster, namespace: str, asking: str, asked: Addresses) -> set[str]:
    """Which of the addresses a pod, or the last pod of a service, can connect to. Itself it always can, so that is not asked."""
    pods = running(cluster, namespace)
    name = asking if asking in pods else [each for each in pods if label_of(pods[each]) == asking][-1]
    others = {each: address for each, address in asked.items() if address[0] != pods[name]["status"]["podIP"]}
    found: list[str] = json.loads(cluster.inside(namespace, name, "python", "-c", CONNECT, json.dumps(others)))
    return set(found)
