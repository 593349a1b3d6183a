"""A broker that requires TLS and a password or certificate, with the users and rights of deploy/k8s."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import yaml
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography.x509 import IPAddress
from flexcredits_cli.embedded.java import find_java
from flexcredits_cli.embedded.kafka import EmbeddedKafka
from flexcredits_cli.embedded.kafka_jars import ensure_jars
from flexcredits_cli.embedded.readiness import wait_until_usable
from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.machine.state_folder import state_folder
from runtime.kafka.clients import create_topics
from support.clients.manifests import K8S, Manifest
from support.infra.certificates import make_certificate
from support.infra.stack import SCHEMAS, Topics, running, throwaway_folder

PASSWORD = "canary-right-password"
BY_CERTIFICATE = "CN=flexcredits.test"
KINDS = {"topic": 2, "group": 3}
OPERATIONS = {"Read": 3, "Write": 4, "Describe": 8, "DescribeConfigs": 10}
LITERAL, ALLOW = 3, 3
SETTINGS = """\
listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SASL://127.0.0.1:{sasl},MUTUAL://127.0.0.1:{mutual}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SASL://127.0.0.1:{sasl},MUTUAL://127.0.0.1:{mutual}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL
listener.name.sasl.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_flexcredits-ingest="{password}";
listener.name.mutual.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={certificate}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""
"""ANONYMOUS are clients without TLS: the broker itself and its preparation."""


@dataclass(frozen=True)
class Secured:
    """A broker's addresses and certificate."""

    topics: Topics
    sasl: str
    """Address for clients with a password."""
    mutual: str
    """Address for clients with a certificate."""
    certificate: Path
    """The broker's self-signed certificate with its key."""

    def settings(self, service: str, **more: str) -> dict[str, str]:
        """Kafka settings of a service."""
        return {
            "KAFKA_BOOTSTRAP": self.sasl, "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_CA_FILE": f"{self.certificate}",
            "KAFKA_USERNAME": f"flexcredits-{service}", "KAFKA_PASSWORD": PASSWORD, **more,
        }  # fmt: skip


@contextmanager
def secured_kafka() -> Iterator[Secured]:
    """Always an embedded broker, because the tests are about its listeners."""
    plain, controller, sasl, mutual = free_ports(4)
    users = list(yaml.safe_load_all((K8S / "components" / "strimzi" / "users.yaml").read_text()))
    with throwaway_folder() as folder:
        certificate = make_certificate(folder / "broker.pem", IPAddress(ip_address("127.0.0.1")))
        authority = folder / "authority.pem"
        authority.write_text(certificate.read_text().partition("-----BEGIN PRIVATE KEY")[0])
        settings = SETTINGS.format(
            plain=plain, controller=controller, sasl=sasl, mutual=mutual, password=PASSWORD, certificate=certificate,
            authority=authority,
        )  # fmt: skip
        scram = [f"SCRAM-SHA-512=[name={user['metadata']['name']},password={PASSWORD}]" for user in users]
        broker = EmbeddedKafka(
            folder / "kafka", ensure_jars(state_folder().jars, print), find_java(), plain, controller, 384,
            quick_start=True, more_settings=settings, format_options=[part for each in scram for part in ("--add-scram", each)],
        )  # fmt: skip
        broker.prepare()
        with running(broker.program()):
            topics = Topics(
                broker.bootstrap, "usage.events.v1", "usage.catalog.v1", "usage.totals.v1", "usage.events.v1.dlq",
                "usage.alerts.v1",
            )  # fmt: skip
            asyncio.run(prepare(topics, users))
            yield Secured(topics, f"127.0.0.1:{sasl}", f"127.0.0.1:{mutual}", certificate)


async def prepare(topics: Topics, users: Sequence[Manifest]) -> None:
    """Create the topics and give the users their rights. ingest also has its rights by certificate."""
    await wait_until_usable(topics.bootstrap)
    await create_topics(topics.bootstrap, SCHEMAS / "topics")
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    try:
        for user in users:
            name = user["metadata"]["name"]
            for right in user["spec"]["authorization"]["acls"]:
                resource = right["resource"]
                assert resource["patternType"] == "literal"
                for principal in [name, BY_CERTIFICATE] if name == "flexcredits-ingest" else [name]:
                    for operation in right["operations"]:
                        answer = await admin._send_request(
                            CreateAclsRequest(
                                KINDS[resource["type"]], resource["name"], LITERAL, f"User:{principal}", "*",
                                OPERATIONS[operation], ALLOW,
                            )
                        )  # fmt: skip
                        assert [code for code, _ in answer.creation_responses] == [0]
    finally:
        await admin.close()
