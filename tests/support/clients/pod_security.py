"""The `restricted` level of the Kubernetes Pod Security Standards (v1.37), and the pods that manifests create.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/, without the rules for Windows.
"""

from collections.abc import Iterator
from typing import Any

from support.clients.manifests import WORKLOADS, Manifest

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SECCOMP = {"RuntimeDefault", "Localhost"}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
HANDLERS = ("livenessProbe", "readinessProbe", "startupProbe", "postStart", "preStop")
PODLESS = {
    "ConfigMap",
    "HorizontalPodAutoscaler",
    "KafkaTopic",
    "KafkaUser",
    "Namespace",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "PodMonitor",
    "PrometheusRule",
    "ScaledObject",
    "Service",
    "ServiceAccount",
    "TriggerAuthentication",
    # CloudNativePG gives its pods and containers, those of PgBouncer too, the contexts that `restricted` demands.
    "Cluster",
    "Pooler",
}
"""Kinds that create no pods, or none that a manifest can describe."""


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Name and spec of every pod that the manifests create, also by operators. Raises ValueError on an unknown kind."""
    for manifest in manifests:
        kind, name, spec = manifest["kind"], manifest["metadata"]["name"], manifest.get("spec", {})
        if kind in WORKLOADS:
            yield f"{kind}/{name}", spec["template"]["spec"]
        elif kind == "Pod":
            yield f"{kind}/{name}", spec
        elif kind == "Kafka":
            operator = spec["entityOperator"]
            containers = [f"{each}Container" for each in ("topicOperator", "userOperator") if each in operator]
            yield f"{kind}/{name}: entity operator", strimzi_pod(operator.get("template", {}), containers)
        elif kind == "KafkaNodePool":
            [kafka] = [
                each
                for each in manifests
                if each["kind"] == "Kafka"
                and each["metadata"]["name"] == manifest["metadata"]["labels"]["strimzi.io/cluster"]
            ]
            # A part of the pool's template replaces the same part of the Kafka's template.
            template = kafka["spec"]["kafka"].get("template", {}) | spec.get("template", {})
            yield f"{kind}/{name}", strimzi_pod(template, ["kafkaContainer"], ["initContainer"])
        elif kind not in PODLESS:
            raise ValueError(f"{kind}/{name}: does this kind create pods?")


def strimzi_pod(template: Manifest, containers: list[str], first: list[str] | None = None) -> Manifest:
    """A pod as Strimzi's default provider (baseline) creates it: with the contexts of the template and no others."""

    def named(names: list[str]) -> list[Manifest]:
        return [{"name": name, **template.get(name, {})} for name in names]

    return {**template.get("pod", {}), "containers": named(containers), "initContainers": named(first or [])}


def violations(pod: Manifest) -> list[str]:
    """What PodSecurity refuses about a pod spec; empty if it passes `restricted`."""
    whole = pod.get("securityContext", {})
    found = [f"{field} is true" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field)]
    for volume in pod.get("volumes", []):
        found += [f"volume {volume['name']}: {kind}" for kind in set(volume) - {"name"} - VOLUMES]
    found += [f"sysctl {each['name']}" for each in whole.get("sysctls", []) if each["name"] not in SYSCTLS]
    found += [f"pod: {problem}" for problem in _problems_of_context(whole)]
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod.get(kind, []):
            found += [f"{container['name']}: {problem}" for problem in _problems_of_container(container, whole)]
    return found


def _problems_of_container(container: Manifest, whole: Manifest) -> Iterator[str]:
    own: dict[str, Any] = container.get("securityContext", {})
    yield from _problems_of_context(own)
    if own.get("runAsNonRoot", whole.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot is not true"
    if (own.get("seccompProfile") or whole.get("seccompProfile") or {}).get("type") not in SECCOMP:
        yield "no seccompProfile"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield "does not drop ALL capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"adds {capabilities['add']}"
    if own.get("privileged"):
        yield "privileged"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort"
    for name, handler in (container | container.get("lifecycle", {})).items():
        if name in HANDLERS and any(handler.get(how, {}).get("host") for how in ("httpGet", "tcpSocket")):
            yield f"{name} names a host"


def _problems_of_context(context: Manifest) -> Iterator[str]:
    """Rules that hold for a pod's and a container's context alike."""
    if context.get("runAsUser") == 0:
        yield "runAsUser is 0"
    if context.get("runAsNonRoot") is False:
        yield "runAsNonRoot is false"
    if "seccompProfile" in context and context["seccompProfile"].get("type") not in SECCOMP:
        yield "seccompProfile"
    if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in SECCOMP:
        yield "appArmorProfile"
    selinux = context.get("seLinuxOptions", {})
    if selinux.get("type", "") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "seLinuxOptions"
