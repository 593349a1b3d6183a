"""What operators change about the manifests: values, their defaults, and the template expressions that use them."""

from typing import Any

DEFAULT = ("strimzi", "cloudnative-pg", "keda", "monitoring", "network-policies")
"""The components of the production overlay."""
COMPONENTS = (*DEFAULT, "pooler", "read-replica")
HASHED = ("kafka", "ingest", "aggregator", "alerter", "query-api")
"""ConfigMaps whose names contain a hash of their settings, so that a change restarts the service."""
POD = "zz-fields-of-every-pod"
"""Stands for the value `pod` in the last line of a pod."""
Manifest = dict[str, Any]


class Chart:
    """Values and template expressions that replace parts of manifests. A mark stands for an expression until it is written."""

    def __init__(self) -> None:
        self.expressions: list[str] = []
        self.pod_fields: set[str] = set()
        self.values: dict[str, Any] = {
            "image": {"repository": "", "tag": "", "digest": ""},
            "components": {name: name in DEFAULT for name in COMPONENTS},
            "settings": {},
            "secrets": {},
            "pod": {},
            "services": {name: {} for name in HASHED[1:]},
            "kafka": {},
            "postgres": {},
            "pooler": {},
        }
        self.secret_names: set[str] = set()

    def mark(self, expression: str) -> str:
        if expression not in self.expressions:
            self.expressions.append(expression)
        return f"@@{self.expressions.index(expression)}@@"

    def take(self, parent: dict[str, Any], key: str, *path: str) -> None:
        """Make a field, if it is there, the value with this path."""
        if key not in parent:
            return
        *above, name = path
        place = self.values
        for each in above:
            place = place[each]
        default = place.setdefault(name, parent[key])
        how = "int" if isinstance(default, int) else "quote" if isinstance(default, str) else "toYaml | nindent INDENT"
        parent[key] = self.mark(" ".join(["index .Values", *(f'"{each}"' for each in path), "|", how]))

    def replace_values(self, manifest: Manifest) -> None:
        kind, metadata, spec = manifest["kind"], manifest["metadata"], manifest.get("spec", {})
        name = metadata["name"]
        metadata["namespace"] = self.mark(".Release.Namespace | quote")
        self.replace_labels(metadata)
        if kind in ("Deployment", "StatefulSet", "Job"):
            self.replace_values_of_pods(manifest)
        match kind:
            case "ConfigMap" if (found := name.removesuffix(name[-11:])) in HASHED or name == "jobs":
                self.replace_settings(manifest, name if name == "jobs" else found)
            case "StatefulSet":
                self.take(spec, "replicas", "services", name, "replicas")
            case "HorizontalPodAutoscaler":
                self.take(spec, "minReplicas", "services", name, "minReplicas")
                self.take(spec, "maxReplicas", "services", name, "maxReplicas")
            case "ScaledObject":
                self.take(spec, "minReplicaCount", "services", name, "replicas")
                self.take(spec, "maxReplicaCount", "services", name, "maxReplicas")
                kafka = '(fromYaml (include "flexcredits.settings.kafka" .)).KAFKA_BOOTSTRAP | quote'
                spec["triggers"][0]["metadata"]["bootstrapServers"] = self.mark(kafka)
            case "KafkaNodePool":
                self.take(spec["storage"], "volumes", "kafka", "volumes")
                self.take(spec, "resources", "kafka", "resources")
            case "Cluster":
                for field in ("instances", "storage", "resources"):
                    self.take(spec, field, "postgres", field)
                self.take(spec["postgresql"]["parameters"], "max_connections", "postgres", "max_connections")
            case "Pooler":
                self.take(spec, "instances", "pooler", "instances")
                self.take(spec["pgbouncer"], "parameters", "pooler", "parameters")
        self.replace_secrets(manifest)

    def replace_labels(self, metadata: Manifest) -> None:
        labels = metadata.get("labels", {})
        if "app.kubernetes.io/managed-by" in labels:
            labels["app.kubernetes.io/managed-by"] = self.mark(".Release.Service | quote")
            labels["app.kubernetes.io/version"] = self.mark(".Chart.AppVersion | quote")

    def replace_values_of_pods(self, manifest: Manifest) -> None:
        template = manifest["spec"]["template"]
        self.replace_labels(template["metadata"])
        pod = template["spec"]
        self.pod_fields |= set(pod)
        pod[POD] = ""
        [container] = pod["containers"]
        self.values["image"]["repository"] = container["image"].partition(":")[0]
        container["image"] = self.mark('include "flexcredits.image" . | quote')
        for source in container["envFrom"]:
            reference = source["configMapRef"]
            if (found := reference["name"][:-11]) in HASHED:
                reference["name"] = self.name_of_map(found)
        if manifest["kind"] == "Job":
            name = manifest["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
            manifest["metadata"]["name"] = f"{name}-" + self.mark('include "flexcredits.release" .')
        else:
            self.take(container, "resources", "services", manifest["metadata"]["name"], "resources")

    def name_of_map(self, name: str) -> str:
        return f"{name}-" + self.mark(f'include "flexcredits.settings.{name}" . | sha256sum | trunc 10')

    def replace_settings(self, manifest: Manifest, name: str) -> None:
        shown = {variable: value for variable, value in manifest["data"].items() if "example.com" in value}
        self.values["settings"].setdefault(name, shown)
        manifest["defaults"] = manifest["data"]
        manifest["data"] = self.mark(f'include "flexcredits.settings.{name}" . | nindent INDENT')
        if name in HASHED:
            manifest["metadata"]["name"] = self.name_of_map(name)

    def replace_secrets(self, node: Any, of: str = "") -> None:
        """Names of Secrets anywhere in a manifest."""
        if isinstance(node, list):
            for each in node:
                self.replace_secrets(each, of)
        elif isinstance(node, dict):
            if of in ("secret", "secretKeyRef", "passwordSecret", "secretTargetRef"):
                name = node["name"]
                self.secret_names.add(name)
                node["name"] = self.mark(f'index .Values.secrets "{name}" | default "{name}" | quote')
            for key, each in node.items():
                self.replace_secrets(each, key)

    def schema(self) -> dict[str, Any]:
        """A JSON Schema that refuses misspelt values."""
        schema = schema_of(self.values)
        properties = schema["properties"]
        properties["settings"]["additionalProperties"] = False
        for settings in properties["settings"]["properties"].values():
            settings["additionalProperties"] = {"type": "string"}
        names = {name: {"type": "string"} for name in sorted(self.secret_names)}
        properties["secrets"]["properties"] = names
        properties["pod"] = {"type": "object", "propertyNames": {"not": {"enum": sorted(self.pod_fields)}}}
        for place in ("services", "kafka", "postgres", "pooler"):
            loosen(properties[place])
        properties["global"] = {}  # Helm adds it when the chart is a part of another
        return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def schema_of(value: Any) -> dict[str, Any]:
    match value:
        case dict():
            properties = {name: schema_of(each) for name, each in value.items()}
            return {"type": "object", "properties": properties, "additionalProperties": False}
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": 1}
        case list():
            return {"type": "array"}
        case _:
            return {"type": "string"}


def loosen(schema: dict[str, Any]) -> None:
    """Leave Kubernetes' and the operators' own objects to them."""
    for name, each in schema.get("properties", {}).items():
        if name in ("resources", "storage", "parameters"):
            schema["properties"][name] = {"type": "object"}
        else:
            loosen(each)
