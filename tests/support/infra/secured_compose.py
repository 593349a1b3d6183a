"""A deployment of deploy/k8s on one Docker engine: its settings, users and rights, with TLS on every connection.

Containers have the names that the manifests expect. Postgres has the roles of CloudNativePG's `Cluster`, and Kafka the users and
rights of Strimzi's `KafkaUser`, as the operators would make them. One authority signs all certificates.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from support.clients.manifests import K8S, SERVICES, Manifest, environment_of, render, workloads
from support.infra.certificates import Authority
from support.infra.compose import Project, timed
from support.infra.secured_servers import IMAGES, KAFKA, LOCAL_BROKER, LOGIN, MAIL, PATIENT, POSTGRES, TLS_ONLY, servers
from support.infra.stack import throwaway_folder
from support.services.query_api import make_rsa_key, rsa_jwk

CERTIFICATES = "/etc/flexcredits/certificates"
WRONG_PASSWORD = "canary-wrong-password"
TOPICS_USER = "flexcredits-topics"
HARDENED = {
    "read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "user": "10001:10001",
    "tmpfs": ["/tmp"],
}  # fmt: skip
HEALTHY = """\
from http.client import HTTPConnection
connection = HTTPConnection("127.0.0.1", 9100, timeout=2)
connection.request("GET", "/health/ready")
raise SystemExit(connection.getresponse().status != 200)
"""


@dataclass(frozen=True)
class Secured:
    """The deployment: its compose project, and the keys and passwords that it was made with."""

    folder: Path
    project: Project
    provider: RSAPrivateKey
    """Signs access tokens of LOGIN."""
    passwords: Mapping[str, str]
    """By the name of the Secret that has it."""

    @cached_property
    def topics(self) -> list[str]:
        return [each["metadata"]["name"] for each in of_kind("KafkaTopic")]

    def psql(self, statement: str) -> str:
        """Output of a statement as a superuser, inside Postgres' container."""
        command = ("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--username=postgres", "--dbname=flexcredits")
        return self.project("exec", "-T", "postgres", *command, "--command", statement)

    def kafka(self, tool: str, *arguments: str) -> str:
        """Output of one of Kafka's commands, inside the broker's container."""
        command = (f"/opt/kafka/bin/{tool}.sh", "--bootstrap-server", LOCAL_BROKER)
        return self.project("exec", "-T", "kafka", *command, *arguments)


def of_kind(kind: str) -> list[Manifest]:
    return [each for each in render("overlays/prod") if each["kind"] == kind]


@contextmanager
def secured_compose() -> Iterator[Secured]:
    """Postgres, Kafka, mail server and identity provider run, and Kafka has its users; nothing of ours has started."""
    with throwaway_folder() as folder:
        key, passwords = write_keys(folder)
        (folder / "compose.json").write_text(json.dumps(compose_file(folder, passwords)))
        project = Project("flexcredits-tls", folder, ("compose.json",), ("jobs", "refused"))
        secured = Secured(folder, project, key, passwords)
        try:
            with timed("servers with TLS, users and rights"):
                project("up", "--detach", "--wait", "--wait-timeout", "200", "postgres", "kafka", "mailbox", "login")
                make_kafka_users(secured)
            yield secured
        finally:
            project.down()


def write_keys(folder: Path, mail: str = MAIL, login: str = LOGIN) -> tuple[RSAPrivateKey, dict[str, str]]:
    """Write certificates for all servers, users' passwords for Postgres, and the keys that the identity provider publishes.
    Returns its private key, and every password by the name of its Secret."""
    authority = Authority(folder)
    for server, host in ("postgres", POSTGRES), ("kafka", KAFKA), ("mail", mail), ("login", login):
        authority.sign(folder / server, host)
    stranger = folder / "stranger"
    stranger.mkdir()
    Authority(stranger)
    passwords = {name: secrets.token_hex(32) for name in named_secrets()}  # the signing key has 64 digits
    passwords["flexcredits-smtp"] = f"smtp+starttls://mailer:secret@{mail}:1025"
    key = make_rsa_key()
    well_known = folder / "keys" / ".well-known"
    well_known.mkdir(parents=True)
    (well_known / "jwks.json").write_text(json.dumps({"keys": [rsa_jwk(key, "k1")]}))
    (folder / "roles.sql").write_text(roles(passwords))
    (folder / "tls.sh").write_text(TLS_ONLY)
    return key, passwords


def named_secrets() -> set[str]:
    """Secrets that containers of ours read a password from."""
    return {
        variable["valueFrom"]["secretKeyRef"]["name"]
        for _, _, container in [*workloads(render("overlays/prod")), *workloads(render("base"))]
        for variable in container.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    }


def roles(passwords: Mapping[str, str]) -> str:
    """What CloudNativePG makes of `Cluster`: its managed roles, of which the owner is no superuser, and the database."""
    [cluster] = of_kind("Cluster")
    statements = []
    for role in cluster["spec"]["managed"]["roles"]:
        password = passwords[role.get("passwordSecret", {}).get("name", "flexcredits-postgres-app")]
        rights = "CREATEROLE" if role.get("createrole") else "NOCREATEROLE"
        statements.append(f"CREATE ROLE {role['name']} LOGIN NOSUPERUSER {rights} PASSWORD '{password}';")
    made = cluster["spec"]["bootstrap"]["initdb"]
    return "\n".join([*statements, f"CREATE DATABASE {made['database']} OWNER {made['owner']};", ""])


class WithKafka(Protocol):
    @property
    def passwords(self) -> Mapping[str, str]: ...

    def kafka(self, tool: str, *arguments: str) -> str: ...


def make_kafka_users(secured: WithKafka) -> None:
    """What Strimzi makes of every `KafkaUser`, and the user of the job `topics`, who may create topics and see them."""
    for user in of_kind("KafkaUser"):
        name = user["metadata"]["name"]
        add_user(secured, name)
        for acl in user["spec"]["authorization"]["acls"]:
            resource = acl["resource"]
            allow(secured, name, resource["type"], resource["name"], acl["operations"], resource["patternType"])
    add_user(secured, TOPICS_USER)
    allow(secured, TOPICS_USER, "topic", "usage.", ["Create", "Describe", "DescribeConfigs"], "prefixed")


def add_user(secured: WithKafka, name: str) -> None:
    scram = f"SCRAM-SHA-512=[password={secured.passwords[name]}]"
    secured.kafka("kafka-configs", "--alter", "--add-config", scram, "--entity-type", "users", "--entity-name", name)


def allow(secured: WithKafka, user: str, kind: str, name: str, operations: list[str], pattern: str) -> None:
    wanted = [part for operation in operations for part in ("--operation", operation)]
    who = ("--allow-principal", f"User:{user}")
    secured.kafka("kafka-acls", "--add", *who, *wanted, f"--{kind}", name, "--resource-pattern-type", pattern)


def compose_file(folder: Path, passwords: Mapping[str, str]) -> dict[str, Any]:
    prod, base = render("overlays/prod"), render("base")
    [cluster] = of_kind("Cluster")
    services = servers(folder, cluster)
    for name, _, container in workloads(base):  # both jobs; with Strimzi, topics are resources
        if name.startswith("Job/"):
            job = name.removeprefix("Job/").partition("-")[0]
            services[job] = ours(folder, container, base, passwords) | {"profiles": ["jobs"]}
    services["topics"]["command"][-1] = "1"  # replicas: there is one broker
    [tools] = json.loads((K8S / "tools.json").read_text())["spec"]["containers"]
    services["tools"] = ours(folder, {**tools, "args": []}, base, passwords) | {
        "image": IMAGES["cli"], "profiles": ["jobs"], "tmpfs": ["/tmp", "/var/lib/flexcredits:uid=10001"],
    }  # fmt: skip
    services["refused-migrations-authority"] = services["migrations"] | {
        "volumes": [f"{folder}/stranger/authority.crt:{CERTIFICATES}/postgres.crt:ro"]
    }
    for service in SERVICES:
        [container] = [each for name, _, each in workloads(prod) if name.rpartition("/")[2] == service]
        made = ours(folder, container, prod, passwords)
        services[service] = made | {
            "restart": "unless-stopped",
            "ports": [f"127.0.0.1::{port['containerPort']}" for port in container["ports"]],
            "healthcheck": {"test": ["CMD", "python", "-c", HEALTHY], **PATIENT},
        }
        for case, changes in mistakes(made["environment"]).items():
            changed = {**made, "environment": {**made["environment"], **changes}, "profiles": ["refused"]}
            services[f"refused-{service}-{case}"] = changed
    return {"services": services}


def ours(folder: Path, container: Manifest, manifests: list[Manifest], passwords: Mapping[str, str]) -> dict[str, Any]:
    """A container of a manifest, with the environment, arguments, certificates and restrictions that it has there."""
    environment = environment_of(container, manifests, passwords)
    private = {"SSL_CERT_FILE": f"{CERTIFICATES}/postgres.crt"}  # for the identity provider
    if "SMTP_URL" in environment:
        private["SMTP_CA_FILE"] = f"{CERTIFICATES}/postgres.crt"
    mounted = [f"{folder}/authority.crt:{CERTIFICATES}/{name}.crt:ro" for name in ("kafka", "postgres")]
    mounted.append(f"{folder}/stranger/authority.crt:{CERTIFICATES}/stranger.crt:ro")
    return {
        **HARDENED, "image": IMAGES["ingest"], "command": list(container["args"]), "volumes": mounted,
        "environment": environment | private,
    }  # fmt: skip


def mistakes(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Changes to a service's settings, each of which a server or client must refuse. Compose's own names of the servers are
    not in their certificates."""
    dsn = environment["POSTGRES_DSN"]
    found = {
        "postgres-password": {"PGPASSWORD": WRONG_PASSWORD},
        "postgres-authority": {"POSTGRES_DSN": dsn.replace("postgres.crt", "stranger.crt")},
        "postgres-host": {"POSTGRES_DSN": dsn.replace(POSTGRES, "postgres")},
    }
    if "KAFKA_BOOTSTRAP" in environment:
        found |= {
            "kafka-password": {"KAFKA_PASSWORD": WRONG_PASSWORD},
            "kafka-authority": {"KAFKA_CA_FILE": f"{CERTIFICATES}/stranger.crt"},
            "kafka-host": {"KAFKA_BOOTSTRAP": "kafka:9093"},
        }
    return found
