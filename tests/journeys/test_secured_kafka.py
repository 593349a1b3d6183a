"""Services on a Kafka that requires TLS and authentication, with exactly the rights of deploy/k8s."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from cryptography.x509 import DNSName
from flexcredits_cli.stack.api_keys import create_key
from runtime.kafka.clients import KafkaSettings, open_consumer, open_producer
from support.data.factories import contract, event, organization, usage
from support.infra.certificates import make_certificate
from support.infra.secured_kafka import PASSWORD, Secured, secured_kafka
from support.infra.service_process import aggregator_environment, alerter_environment, eventually, running
from support.infra.stack import Database
from support.services.alerter import Script, smtp_server
from support.services.ingest import Ingest, environment

pytestmark = [pytest.mark.slow, pytest.mark.embedded("needs listeners of its own; containers: test_tls_everywhere.py")]

WRONG_PASSWORD = "canary-wrong-password"


@pytest.fixture(scope="module")
def broker() -> Iterator[Secured]:
    with secured_kafka() as secured:
        yield secured


@pytest.fixture
async def mailbox() -> AsyncIterator[Script]:
    async with smtp_server() as server:
        yield server


def environments(database: Database, broker: Secured, mailbox: Script, **more: str) -> dict[str, dict[str, str]]:
    """Environments of the three services that use Kafka."""
    settings = {service: broker.settings(service, **more) for service in ("ingest", "aggregator", "alerter")}
    never = {"CONSUMER_GROUP": "alerter", "SWEEP_INTERVAL_S": "100000"}  # so that mails come from totals messages
    return {
        "ingest": environment(database.roles["flexcredits_ingest"], broker.topics, **settings["ingest"]),
        "aggregator": aggregator_environment(
            database, broker.topics, **settings["aggregator"], CONSUMER_GROUP="aggregator"
        ),
        "alerter": alerter_environment(database, broker.topics, mailbox.port, **settings["alerter"], **never),
    }


async def test_an_event_goes_its_whole_way_by_passwords_and_the_rights_of_the_manifests(
    broker: Secured, database: Database, mailbox: Script
) -> None:
    key = await create_key(database.dsn, "*", "*")
    member = event("flexcredits.member.v1", {"email": "ada@acme.example", "name": "Ada", "role": "super_admin"})
    async with AsyncExitStack() as here:
        given = environments(database, broker, mailbox)
        processes = {service: here.enter_context(running(service, each)) for service, each in given.items()}
        for service, process in processes.items():
            await eventually(process.ready, what=service)
        ingest = Ingest(f"http://127.0.0.1:{given['ingest']['HTTP_PORT']}", "", broker.topics, key)
        assert (await ingest.post([organization(), contract(total="10"), member])).status_code == 202
        first = usage(credits="8")
        contradiction = {**first, "data": {**first["data"], "credits": "9"}}
        for batch in [first, {"id": "not usage"}], [contradiction]:
            assert (await ingest.post(batch)).status_code == 202
        await eventually(lambda: len(mailbox.got) == 1, what="the mail about 75 %")
        alerter, aggregator = processes["alerter"], processes["aggregator"]
        await eventually(lambda: alerter.metric("flexcredits_alerter_published_total") == 1, what="usage.alerts.v1")
        relayed = f'flexcredits_aggregator_relayed_total{{topic="{broker.topics.dlq}"}}'
        await eventually(lambda: aggregator.metric(relayed) == 1, what="the dead letter")
        assert alerter.metric('flexcredits_alerter_evaluated_organizations_total{trigger="totals"}') >= 1
        assert not any(PASSWORD in process.log for process in processes.values())


@pytest.mark.parametrize("way", ["plain", "certificate"])
async def test_ingest_is_let_in_by_its_other_ways(broker: Secured, database: Database, way: str) -> None:
    key = await create_key(database.dsn, "*", "*")
    more = {
        "plain": {"KAFKA_SASL_MECHANISM": "PLAIN"},
        "certificate": {
            "KAFKA_BOOTSTRAP": broker.mutual, "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_CERTIFICATE_FILE": f"{broker.certificate}", "KAFKA_KEY_FILE": f"{broker.certificate}",
        },
    }[way]  # fmt: skip
    given = environment(database.roles["flexcredits_ingest"], broker.topics, **broker.settings("ingest", **more))
    with running("ingest", given) as process:
        await eventually(process.ready, what="readiness")
        ingest = Ingest(f"http://127.0.0.1:{given['HTTP_PORT']}", "", broker.topics, key)
        assert (await ingest.post(usage())).status_code == 202


@pytest.mark.parametrize("mistake", ["password", "authority"])
async def test_a_refused_client_logs_the_reason_and_never_the_password(
    broker: Secured, database: Database, mailbox: Script, tmp_path: Path, mistake: str
) -> None:
    stranger = make_certificate(tmp_path / "stranger.pem", DNSName("elsewhere.example"))
    more, words = {
        "password": ({"KAFKA_PASSWORD": WRONG_PASSWORD}, "Authentication failed"),
        "authority": ({"KAFKA_CA_FILE": f"{stranger}"}, "certificate verify failed"),
    }[mistake]
    async with AsyncExitStack() as here:
        given = environments(database, broker, mailbox, **more)
        processes = {service: here.enter_context(running(service, each)) for service, each in given.items()}
        for service in ("aggregator", "alerter"):
            assert await asyncio.to_thread(processes[service].wait, 30) == 1, service
        said = f"{processes['ingest'].readiness()}"
        assert "Kafka: no connection" in said
        for service, process in processes.items():
            assert words in process.log, service
            assert not {PASSWORD, WRONG_PASSWORD} & set(re.findall(r"canary-\w+-password", process.log + said)), service


async def test_no_service_has_another_services_rights(broker: Secured, expected_errors: list[str]) -> None:
    expected_errors.append("is not authorized for this client")
    topics = broker.topics
    written_by_others = {"ingest": topics.totals, "aggregator": topics.usage_events, "alerter": topics.totals}
    for service, topic in written_by_others.items():
        settings = client_settings(broker, service)
        async with open_producer(broker.sasl, "test", **settings) as producer:
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(topic, b"{}")
    async with open_consumer(broker.sasl, "test", **client_settings(broker, "ingest")) as consumer:
        assert await consumer.topics() == {topics.usage_events, topics.catalog, topics.dlq}
        consumer.assign([TopicPartition(topics.usage_events, 0)])
        with pytest.raises(TopicAuthorizationFailedError):
            await consumer.getmany(timeout_ms=5000)
    async with open_consumer(broker.sasl, "test", group="aggregator", **client_settings(broker, "alerter")) as consumer:
        consumer.subscribe([topics.totals])
        with pytest.raises(GroupAuthorizationFailedError):
            await consumer.getmany(timeout_ms=5000)


def client_settings(broker: Secured, service: str) -> dict[str, Any]:
    settings = KafkaSettings.model_validate({name.lower(): value for name, value in broker.settings(service).items()})
    return settings.kafka_security()
