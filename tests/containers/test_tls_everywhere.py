"""The manifests' settings on servers that demand them: TLS with a checked name, a password, and rights per service."""

import json
from collections.abc import Iterator

import httpx
import pytest
from support.clients.manifests import SERVICES
from support.data.factories import contract, event, organization, usage
from support.infra.compose import timed
from support.infra.secured_compose import WRONG_PASSWORD, Secured, of_kind, secured_compose
from support.infra.secured_servers import LOGIN
from support.infra.service_process import eventually
from support.services.ingest import BATCH
from support.services.query_api import IdentityProvider

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

ADA = event("flexcredits.member.v1", {"email": "ada@acme.example", "name": "Ada", "role": "super_admin"})
WITH_KAFKA = ("ingest", "aggregator", "alerter")
REASONS = {
    "postgres-password": "password authentication failed for user",
    "postgres-authority": "certificate verify failed",
    "postgres-host": "Hostname mismatch",
    "kafka-password": "Authentication failed",
    "kafka-authority": "certificate verify failed",
    "kafka-host": "Hostname mismatch",
}
STAYING = ("ingest", "query-api")
"""Services that answer requests: they may stay, are then not ready, and say why. The others end with code 1."""
READINESS = """
from http.client import HTTPConnection
connection = HTTPConnection("127.0.0.1", 9100, timeout=5)
connection.request("GET", "/health/ready")
answer = connection.getresponse()
print(answer.status == 503 and answer.read().decode())
"""
TRIES = """
import asyncio, json, logging, sys
from aiokafka import TopicPartition
from runtime.kafka.clients import KafkaSettings, open_consumer, open_producer
logging.disable(logging.CRITICAL)
settings = KafkaSettings()
where, security = settings.kafka_bootstrap, settings.kafka_security()

async def write(topic):
    async with open_producer(where, "test", **security) as producer:
        await producer.send_and_wait(topic, b"{}")

async def read(topic):
    async with open_consumer(where, "test", **security) as consumer:
        if topic not in await consumer.topics():
            return "not described"
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        await consumer.getmany(timeout_ms=3000)

async def join(group, topic):
    async with open_consumer(where, "test", group=group, **security) as consumer:
        consumer.subscribe([topic])
        await consumer.getmany(timeout_ms=3000)

async def attempt(kind, *names):
    try:
        refused = await asyncio.wait_for({"write": write, "read": read, "join": join}[kind](*names), 20)
        return refused or "allowed"
    except Exception as error:
        return type(error).__name__

async def main():
    print(json.dumps([await attempt(*each) for each in json.loads(sys.argv[1])]))

asyncio.run(main())
"""
"""Runs in a service's container with its settings. Prints what came of each operation of the list [kind, name, ...]."""


@pytest.fixture(scope="module")
def servers(images: None) -> Iterator[Secured]:
    with secured_compose() as made:
        yield made


@pytest.fixture(scope="module")
def secured(servers: Secured) -> Secured:
    """The servers, with all services on them."""
    for job in "migrations", "topics":
        servers.project("run", "--rm", job)
    with timed("services"):
        servers.project("up", "--detach", "--wait", "--wait-timeout", "120", *SERVICES)
    return servers


def test_migrations_refuse_a_server_of_another_authority(servers: Secured) -> None:
    done = servers.project.attempt("run", "--rm", "refused-migrations-authority")
    assert done.returncode == 1
    assert "certificate verify failed" in done.stderr
    assert servers.psql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"


def test_postgres_refuses_connections_without_tls(servers: Secured) -> None:
    dsn = "postgresql://flexcredits_api@flexcredits-postgres-rw:5432/flexcredits?sslmode=disable"
    done = servers.project.attempt("run", "--rm", "--env", f"POSTGRES_DSN={dsn}", "migrations")
    assert done.returncode == 1
    assert "no pg_hba.conf entry" in done.stderr


async def test_an_event_is_counted_and_sets_off_an_alert_with_its_mail(secured: Secured) -> None:
    project = secured.project
    key = project("run", "--rm", "tools", "keys", "create", "--organization", "*", "--env", "production")
    token = IdentityProvider(secured.provider).token(iss=f"https://{LOGIN}")
    ingest, query, mailbox = (project.url(*each) for each in (("ingest", 8080), ("query-api", 8080), ("mailbox", 8025)))
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:

        async def is_counted() -> bool:
            answer = await client.get(f"{query}/api/v1/overview", headers={"Authorization": f"Bearer {token}"})
            return bool(answer.raise_for_status().json()["credits_used"] == "80.000000")

        async def is_mailed() -> bool:
            found = (await client.get(f"{mailbox}/api/v1/messages")).json()["messages"]
            return [to["Address"] for mail in found for to in mail["To"]] == ["ada@acme.example"]

        events = [organization(), contract(total="100"), ADA, usage(credits="80"), {"id": "not usage"}]
        headers = {"Authorization": f"Bearer {key.splitlines()[-1]}", "Content-Type": BATCH}
        sent = await client.post(f"{ingest}/api/v1/events", json=events, headers=headers)
        assert sent.status_code == 202, sent.text
        await eventually(is_counted, what="the event")
        await eventually(is_mailed, what="the mail, by STARTTLS and with a password")
    used = "SELECT DISTINCT usename FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE {} ORDER BY 1"
    roles = ["flexcredits_aggregator", "flexcredits_alerter", "flexcredits_api", "flexcredits_ingest"]
    assert secured.psql(used.format("ssl")).splitlines() == roles
    assert secured.psql(used.format("NOT ssl AND client_addr IS NOT NULL")) == ""


@pytest.mark.parametrize("service", WITH_KAFKA)
def test_kafka_refuses_what_the_service_has_no_right_to(secured: Secured, service: str) -> None:
    [user] = [each for each in of_kind("KafkaUser") if each["metadata"]["name"] == f"flexcredits-{service}"]
    rights = {
        (operation.lower(), acl["resource"]["type"], acl["resource"]["name"])
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    }
    described = next(name for operation, kind, name in sorted(rights) if (operation, kind) == ("describe", "topic"))
    tried = [
        *([kind, topic] for topic in secured.topics for kind in ("write", "read") if (kind, "topic", topic) not in rights),
        *(["join", group, described] for group in WITH_KAFKA if ("read", "group", group) not in rights),
    ]  # fmt: skip
    written = secured.kafka("kafka-get-offsets")
    run = ("run", "--rm", "--no-deps", "--entrypoint", "python", service, "-c", TRIES, json.dumps(tried))
    results = json.loads(secured.project(*run).splitlines()[-1])
    for (kind, name, *_), result in zip(tried, results, strict=True):
        hidden = kind == "read" and ("describe", "topic", name) not in rights
        error = "GroupAuthorizationFailedError" if kind == "join" else "TopicAuthorizationFailedError"
        assert result == ("not described" if hidden else error), (kind, name)
    assert secured.kafka("kafka-get-offsets") == written


async def test_services_refuse_a_wrong_authority_name_or_password_and_say_so(secured: Secured) -> None:
    """All at once: each service with each mistake, beside the services that work."""

    def state() -> tuple[str, str]:
        counted = secured.psql("SELECT count(*) FROM usage_ledger")
        return counted, secured.kafka("kafka-get-offsets")

    before = state()
    wrong = {
        f"refused-{service}-{reason}": (service, reason)
        for service in SERVICES
        for reason in REASONS
        if service in WITH_KAFKA or reason.startswith("postgres")
    }
    secured.project("up", "--detach", "--no-deps", *wrong)
    for name, (service, reason) in wrong.items():
        stays = service in STAYING

        def is_refused(name: str = name, reason: str = reason, stays: bool = stays) -> bool:
            state = secured.project.containers()[name]
            said = secured.project.logs(name)
            assert WRONG_PASSWORD not in said, name
            if stays and state["State"] == "running":
                said += secured.project.attempt("exec", "-T", name, "python", "-c", READINESS).stdout
                return REASONS[reason] in said
            return REASONS[reason] in said and state["ExitCode"] == 1

        await eventually(is_refused, within_s=120, what=name)
    secured.project("rm", "--force", "--stop", *wrong)
    assert state() == before
