"""Debian's Prometheus on the running system with our rules: every target up, no unknown metric, and alerts that faults set off."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import httpx
import pytest
from flexcredits_cli.stack.services import without_proxy
from support.clients.prometheus import Prometheus, alerts, names_in_dashboards, names_in_rules, probe_ports, prometheus
from support.data.factories import contract, event, organization, usage
from support.infra.full_stack import WholeStack, whole_stack
from support.infra.service_process import ServiceProcess, eventually, free_port, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NOWHERE = "127.0.0.1:9"
UNKNOWN_KEY = b64encode(b'{"alg":"RS256","kid":"unknown"}').decode().rstrip("=") + ".e30.e30"
"""A token that can only be verified with the identity provider's keys."""


@pytest.fixture(scope="module")
def stack() -> Iterator[WholeStack]:
    with whole_stack() as made:
        asyncio.run(use(made))
        yield made


@pytest.fixture
async def owner(stack: WholeStack) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stack.addresses["postgres_dsn"])
    yield connection
    await connection.close()


def serve_nowhere(stack: WholeStack) -> dict[str, tuple[str, dict[str, str]]]:
    """Ingest and query API without Kafka, Postgres and identity provider, and their addresses."""
    shared = {
        "POSTGRES_DSN": f"postgresql://missing:nothing@{NOWHERE}/nothing",
        "FLEXCREDITS_ENV": "test",
        **without_proxy(),
    }
    ports = [free_port(), free_port()]
    query = {
        "JWKS_URL": f"http://{NOWHERE}/jwks", "TOKEN_ISSUER": "nobody", "TOKEN_AUDIENCE": "flexcredits",
        "FLEXCREDITS_UNSUBSCRIBE_SECRET": "for tests alone, and for nothing else",
    }  # fmt: skip
    return {
        "ingest": (f"http://127.0.0.1:{ports[0]}", {**shared, "KAFKA_BOOTSTRAP": NOWHERE, "HTTP_PORT": str(ports[0])}),
        "query_api": (f"http://127.0.0.1:{ports[1]}", {**shared, **query, "HTTP_PORT": str(ports[1])}),
    }


async def use(stack: WholeStack) -> None:
    """Send events so that every metric has a sample."""
    member = {"email": "unknown@refused.example", "name": "Unknown", "role": "super_admin"}
    events = [organization(), contract(total="10"), event("flexcredits.member.v1", member, subject="org_acme")]
    assert stack.post(events).status_code == 202
    assert stack.post([usage(credits="1")]).status_code == 202

    def visible() -> bool:
        return stack.get("overview", organization="org_acme")["credits_used"] == "1.000000"

    await eventually(visible, what="the first credit")


async def test_every_target_is_up_and_no_metric_is_unknown(stack: WholeStack) -> None:
    with prometheus(probe_ports(stack.addresses["metrics_urls"])) as watching:
        await eventually(lambda: set(watching.targets().values()) == {"up"}, what="all targets up")
        assert len(watching.targets()) == 4
        await eventually(lambda: not names_in_rules() - watching.names(), what="series of all rules")
        assert names_in_dashboards() <= watching.names() | exposed(watching)
        rules = watching.rules()
        assert {rule["name"] for rule in rules if rule["type"] == "alerting"} == set(alerts())
        await eventually(lambda: {rule["health"] for rule in watching.rules()} == {"ok"}, what="rules evaluated")
        builds = watching.ask("query", query="flexcredits_build_info")["result"]
        assert {build["metric"]["service"] for build in builds} == set(stack.addresses["metrics_urls"])
        assert watching.firing() == {}


def exposed(watching: Prometheus) -> set[str]:
    """Names of the given families' series."""
    return {
        f"{family.removesuffix('_total')}{suffix}"
        for family in watching.families()
        for suffix in ("", "_total", "_bucket", "_info")
    }


async def test_faults_in_the_running_system_set_off_their_alerts(stack: WholeStack, owner: asyncpg.Connection) -> None:
    gone = free_port()
    async with AsyncExitStack() as here:
        nowhere: dict[str, ServiceProcess] = {}
        urls: dict[str, str] = {}
        for module, (url, environment) in serve_nowhere(stack).items():
            nowhere[module] = here.enter_context(running(module, environment))
            urls[module] = url
        targets = [
            *probe_ports(stack.addresses["metrics_urls"]), ("aggregator", gone),
            *((module.replace("_", "-"), process.probe_port) for module, process in nowhere.items()),
        ]  # fmt: skip
        watching = here.enter_context(prometheus(targets, impatient=True))
        headers = {"Authorization": f"Bearer {stack.addresses['ingest_key']}"}
        ask = await here.enter_async_context(httpx.AsyncClient(headers=headers, trust_env=False))

        async def fires(name: str, provoke: Callable[[], Any] | None = None) -> None:
            async def fired() -> bool:
                if provoke is not None:
                    await provoke()
                return name in await asyncio.to_thread(watching.firing)

            await eventually(fired, within_s=60, what=name)

        for name in ("InstanceDown", "KafkaUnreachable", "PostgresUnreachable", "SigningKeysStale"):
            await fires(f"FlexCredits{name}")
        fired = watching.firing()
        assert fired["FlexCreditsKafkaUnreachable"]["labels"]["service"] == "ingest"
        assert fired["FlexCreditsInstanceDown"]["labels"]["instance"] == f"127.0.0.1:{gone}"
        unsound = {"DeadLetters", "ProofBroken", "PartitionsMissingAhead", "HeldUsageAges", "MailsFail"}
        assert not {f"FlexCredits{name}" for name in unsound} & set(fired)

        async def send() -> None:
            answer = await ask.post(f"{urls['ingest']}/api/v1/events", json=usage())
            assert answer.status_code == 503

        async def query() -> None:
            url = f"{urls['query_api']}/api/v1/overview"
            answer = await ask.get(url, headers={"Authorization": f"Bearer {UNKNOWN_KEY}"})
            assert answer.status_code == 503

        await fires("FlexCreditsIngestErrorsBurnFast", send)
        stack.post([usage(credits="9.5"), {"id": "not usage"}, usage(envelope={"subject": "org_unknown"})])
        await fires("FlexCreditsDeadLetters")
        await fires("FlexCreditsMailsFail")
        await owner.execute("UPDATE usage_held SET received_at = received_at - interval '2 hours'")
        await owner.execute("ALTER TABLE partition_progress DROP CONSTRAINT every_offset_has_one_result")
        await owner.execute(
            "UPDATE partition_progress SET counted = counted + 1 WHERE topic = 'usage.events.v1' AND partition = 0"
        )
        for number in range(2, 8):
            day = await owner.fetchval("SELECT to_char(now() + make_interval(days => $1), 'YYYYMMDD')", number)
            await owner.execute(f"DROP TABLE usage_ledger_{day}")
        for name in ("HeldUsageAges", "ProofBroken", "PartitionsMissingAhead"):
            await fires(f"FlexCredits{name}")
        assert watching.firing()["FlexCreditsProofBroken"]["annotations"]["summary"] == "The proof differs by 2 records"
        await fires("FlexCreditsQueryApiFails", query)
