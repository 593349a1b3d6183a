"""F8: every process on its own host, and a network that drops packets between two of them."""

import asyncio
import dataclasses
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from alerter.email.smtp import AT_ONCE
from flexcredits_cli.embedded.postgres import EmbeddedPostgres
from flexcredits_cli.embedded.postgres_binaries import find_binaries
from flexcredits_cli.embedded.readiness import wait_until_usable
from flexcredits_cli.machine.ports import free_ports
from flexcredits_cli.processes.programs import Process
from flexcredits_cli.stack.api_keys import create_key
from support.data.usage_source import ALLOWANCES, Client, Source
from support.faults.fault_stage import find_lasting_violations, until_applied
from support.infra.brokers import AIOKAFKA_ERRORS, Broker
from support.infra.hosts import Network, network, why_no_hosts
from support.infra.service_process import ServiceProcess, aggregator_environment, alerter_environment, eventually
from support.infra.stack import Database, Topics, copy_template, make_template, make_topics, throwaway_folder
from support.invariants.log import find_violations
from support.services.alerter import Script
from support.services.ingest import environment as ingest_environment

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(300)]
HOSTS = ("kafka", "postgres", "mail", "ingest", "aggregator", "alerter")
WAYS = [
    ("aggregator", "kafka"), ("kafka", "aggregator"), ("aggregator", "postgres"), ("postgres", "aggregator"),
    ("alerter", "mail"), ("mail", "alerter"), ("ingest", "kafka"), ("kafka", "ingest"),
]  # fmt: skip


@dataclasses.dataclass
class Site:
    """The processes and their hosts."""

    network: Network
    topics: Topics
    database: Database
    mailbox: Script
    source: Source
    client: Client
    services: dict[str, ServiceProcess]


@asynccontextmanager
async def open_site(folder: Path) -> AsyncIterator[Site]:
    with ExitStack() as stack:
        net = stack.enter_context(network(*HOSTS))
        with net.inside("kafka"):
            broker = Broker(folder / "kafka", net.address("kafka"))
            await_ready = broker.launch()
        stack.callback(broker.kill)
        await eventually(await_ready, what="the broker")
        database = await open_postgres(stack, net, folder / "postgres")
        await wait_until_usable(broker.bootstrap)
        topics = await make_topics(broker.bootstrap)
        source = Source(topics)
        await source.introduce(dict.fromkeys(ALLOWANCES, "200"))
        with net.inside("mail"):
            mailbox = Script(host=net.address("mail"))
            await mailbox.start()
        mail_url = f"smtp://{net.address('mail')}:{mailbox.port}"
        given = ingest_environment(
            database.roles["flexcredits_ingest"], topics, http_host=net.address("ingest"), produce_wait_s=2
        )
        environments = {
            "ingest": given,
            "aggregator": aggregator_environment(database, topics),
            "alerter": alerter_environment(
                database, topics, mailbox.port, SMTP_URL=mail_url, SWEEP_INTERVAL_S="1", FLEXCREDITS_ENV="test"
            ),
        }
        services = {}
        for name, environment in environments.items():
            with net.inside(name):
                services[name] = ServiceProcess(name, environment, net.address(name))
            stack.callback(services[name].forget)
        for service in services.values():
            await eventually(service.ready, what="readiness")
        client = Client(
            f"http://{net.address('ingest')}:{given['HTTP_PORT']}", await create_key(database.dsn, "*", "*")
        )
        yield Site(net, topics, database, mailbox, source, client, services)
        await mailbox.stop()


async def open_postgres(stack: ExitStack, net: Network, folder: Path) -> Database:
    (port,) = free_ports(1)
    host, settings = net.address("postgres"), {"shared_buffers": "64MB", "max_wal_size": "256MB"}
    server = EmbeddedPostgres(folder, find_binaries(), port, secrets.token_hex(16), settings, host=host)
    server.prepare()
    with (folder / "data" / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 198.51.100.0/24 scram-sha-256\n")
    with net.inside("postgres"):
        process = Process(server.program(), lambda _name, _line: None)
    stack.callback(process.close)
    stack.callback(process.kill)
    await asyncio.to_thread(process.wait_ready)
    return await copy_template(server.dsn(), await make_template(server.dsn()))


async def part(site: Site, seed: int) -> None:
    """Cut connections one by one and restore them in another order; then unplug a cable."""
    chance, ways = random.Random(seed), list(WAYS)
    chance.shuffle(ways)
    for way in ways:
        site.network.lose(*way)
        await asyncio.sleep(0.7)
    await asyncio.sleep(4)
    chance.shuffle(ways)
    for way in ways:
        site.network.heal(*way)
        await asyncio.sleep(0.7)
    for host in chance.sample(HOSTS, 2):
        site.network.unplug(host)
        await asyncio.sleep(4)
        site.network.plug(host)


@pytest.mark.skipif(why_no_hosts() is not None, reason=str(why_no_hosts()))
@pytest.mark.parametrize("seed", [8, 88])
async def test_f8_partitions_between_named_hosts(expected_errors: list[str], seed: int) -> None:
    expected_errors.append(AIOKAFKA_ERRORS)
    with throwaway_folder() as folder:
        async with open_site(folder) as site:
            sending = asyncio.create_task(site.client.send())
            await asyncio.sleep(1)
            await part(site, seed)
            await asyncio.sleep(3)
            site.client.stopped = True
            await asyncio.wait_for(sending, 40)
            assert site.client.answers[503], "ingest was never cut off from Kafka"
            assert set(site.client.answers) <= {0, 202, 503}
            await until_applied(site.topics, site.database.dsn, within_s=90)
            violations = await find_violations(site.topics, site.database.dsn, site.client.acknowledged)
            copies_max = 4 * AT_ONCE  # the mail server's answers are lost once, and a cable may be pulled twice
            violations += await find_lasting_violations(site.topics, site.database.dsn, site.mailbox, copies_max)
            assert site.mailbox.got, "no threshold was crossed"
    assert not violations, "\n".join(violations)
