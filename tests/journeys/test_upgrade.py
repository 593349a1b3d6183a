"""Each service is replaced by its next version, one by one, under a steady stream of events and requests.

UPGRADE_FROM names a checkout of the previous version: its services, on the tables of its migrations, are then what is
replaced, and the new migrations are applied while they run. Without it the versions are the same.
"""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from flexcredits_cli.machine.state_folder import REPOSITORY
from flexcredits_cli.stack.api_keys import create_key
from runtime.postgres.migrations import migrate
from support.data.factories import contract, organization, rate, usage
from support.infra.service_process import (
    ServiceProcess,
    aggregator_environment,
    alerter_environment,
    eventually,
    free_port,
    running,
)
from support.infra.stack import (
    ROLE_PASSWORD,
    Database,
    Topics,
    drop_database,
    execute,
    service_roles,
    with_database,
    with_user,
)
from support.invariants.rollups import check_rollups
from support.services.ingest import environment as ingest_environment
from support.services.query_api import (
    AUDIENCE,
    ISSUER,
    UNSUBSCRIBE_SECRET,
    IdentityProvider,
    identity_provider,
    make_rsa_key,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PREVIOUS = Path(os.environ.get("UPGRADE_FROM", REPOSITORY))
SENDERS = 3
CREDITS = Decimal("0.5")
SHARES = (("assistant", "tool", "jira"), ("agents", "tool", "jira"), ("api", "namespace", "Search"))


@pytest.fixture
async def old_database(postgres_dsn: str, database_template: str) -> AsyncIterator[Database]:
    """A database with the previous version's tables. The roles exist in the cluster, created by the template."""
    name = f"test_{secrets.token_hex(6)}"
    await execute(postgres_dsn, f"CREATE DATABASE {name}")
    dsn = with_database(postgres_dsn, name)
    await migrate(dsn, PREVIOUS / "schemas" / "postgres")
    yield Database(dsn, {role: with_user(dsn, role, ROLE_PASSWORD) for role in await service_roles(postgres_dsn)})
    await drop_database(postgres_dsn, name)


@dataclass
class Traffic:
    """Clients that send events and requests during the upgrade, and their answers."""

    ingest_url: str
    query_url: str
    key: str
    token: str
    accepted: int = 0
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    _ended: bool = False

    async def send(self, number: int) -> None:
        """Send batches of ten one after the other to the ingest in rotation."""
        product, kind, feature = SHARES[number]
        async with httpx.AsyncClient(timeout=30) as client:
            while not self._ended:
                batch = [
                    usage(product=product, feature_kind=kind, feature=feature, credits=f"{CREDITS}") for _ in range(10)
                ]
                if await self._ask(client, "POST", f"{self.ingest_url}/api/v1/events", self.key, batch):
                    self.accepted += len(batch)
                await asyncio.sleep(0.03)

    async def query(self) -> None:
        """Request the overview, whose used credits must never fall."""
        seen = Decimal(0)
        async with httpx.AsyncClient(timeout=30) as client:
            while not self._ended:
                answer = await self._ask(client, "GET", f"{self.query_url}/api/v1/overview", self.token)
                if answer:
                    used = Decimal(answer["credits_used"])
                    if used < seen:
                        self.failures.append(f"the overview fell from {seen} to {used}")
                    seen = used
                    self.answers += 1
                await asyncio.sleep(0.05)

    async def _ask(self, client: httpx.AsyncClient, method: str, url: str, token: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        try:
            answer = await client.request(method, url, json=body, headers=headers)
        except httpx.HTTPError as error:
            self.failures.append(f"{method} {url}: {error!r}")
            return None
        if answer.status_code not in (200, 202) or answer.json().get("rejected"):
            self.failures.append(f"{method} {url}: {answer.status_code} {answer.text[:200]}")
            return None
        return answer.json()

    def end(self) -> None:
        self._ended = True


class Services:
    """The four services; each can be replaced by one of the new version, as a rolling update does it."""

    def __init__(self, stack: AsyncExitStack, database: Database, topics: Topics, provider: IdentityProvider) -> None:
        self._stack = stack
        self._database = database
        self._topics = topics
        self._provider = provider
        self._running: dict[str, ServiceProcess] = {}
        self._secrets = {"FLEXCREDITS_UNSUBSCRIBE_SECRET": UNSUBSCRIBE_SECRET}

    async def start(self, module: str, *, previous: bool = False) -> str:
        """Start a service and wait until it is ready; returns its address."""
        environment = self._environment(module)
        if previous and PREVIOUS != REPOSITORY:
            parts = [
                "schemas",
                *(f"services/{name}" for name in ("runtime", "ingest", "aggregator", "alerter", "query-api")),
            ]
            environment["PYTHONPATH"] = os.pathsep.join(str(PREVIOUS / part) for part in parts)
        process = self._stack.enter_context(running(module, environment))
        self._running[module] = process
        await eventually(process.ready, within_s=60, what=f"{module} ready")
        return f"http://127.0.0.1:{environment.get('HTTP_PORT')}"

    async def stop(self, process: ServiceProcess) -> None:
        process.send(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 40) == 0, process.log

    async def replace(self, module: str, traffic: Traffic) -> None:
        """Services with requests overlap: the new one is ready before the old one stops. Others stop before the new one starts."""
        old = self._running[module]
        if module in ("aggregator", "alerter"):
            await self.stop(old)
            await self.start(module)
            return
        url = await self.start(module)
        if module == "ingest":
            traffic.ingest_url = url
        else:
            traffic.query_url = url
        await self.stop(old)

    def _environment(self, module: str) -> dict[str, str]:
        database, topics = self._database, self._topics
        if module == "ingest":
            return ingest_environment(database.roles["flexcredits_ingest"], topics)
        if module == "aggregator":
            return aggregator_environment(database, topics, CONSUMER_INSTANCE="aggregator-0")
        if module == "alerter":
            return alerter_environment(database, topics, free_port(), CONSUMER_INSTANCE="alerter-0", **self._secrets)
        return {
            "POSTGRES_DSN": database.roles["flexcredits_api"],
            "HTTP_PORT": str(free_port()),
            "FLEXCREDITS_ENV": "development",
            "JWKS_URL": self._provider.url,
            "TOKEN_ISSUER": ISSUER,
            "TOKEN_AUDIENCE": AUDIENCE,
            "USAGE_EVENTS_TOPIC": topics.usage_events,
            **self._secrets,
        }


async def test_an_upgrade_under_load_loses_no_event_and_no_request(old_database: Database, topics: Topics) -> None:
    database = old_database
    async with AsyncExitStack() as stack:
        provider = stack.enter_context(identity_provider(make_rsa_key()))
        services = Services(stack, database, topics, provider)
        owner = await stack.enter_async_context(connected(database.dsn))
        ingest_url = await services.start("ingest", previous=True)
        await services.start("aggregator", previous=True)
        await services.start("alerter", previous=True)
        query_url = await services.start("query_api", previous=True)
        key = await create_key(database.dsn, "*", "*")
        traffic = Traffic(ingest_url, query_url, key, provider.token())
        events = [organization(), contract(total="1000"), rate()]
        await post(ingest_url, key, events)
        await eventually(lambda: counts(owner, "credit_periods", 1), what="the contract")

        load = [asyncio.create_task(traffic.send(number)) for number in range(SENDERS)]
        load.append(asyncio.create_task(traffic.query()))
        await asyncio.sleep(1)
        applied = await migrate(database.dsn, REPOSITORY / "schemas" / "postgres")
        await asyncio.sleep(1)  # the old version works with the new tables
        for module in ("aggregator", "alerter", "query_api", "ingest"):
            await services.replace(module, traffic)
        await asyncio.sleep(1)
        traffic.end()
        await asyncio.gather(*load)

        assert traffic.failures == []
        assert traffic.accepted > 1000
        assert traffic.answers > 50
        await eventually(lambda: counts(owner, "usage_ledger WHERE NOT held", traffic.accepted), what="all counted")
        assert await owner.fetchval("SELECT sum(credits) FROM usage_ledger") == traffic.accepted * int(CREDITS * 10**6)
        await check_rollups(owner)
        dispositions = await owner.fetchrow(
            "SELECT sum(counted), sum(duplicate), sum(rejected), sum(held) FROM partition_progress WHERE topic = $1",
            topics.usage_events,
        )
        assert tuple(dispositions or ()) == (traffic.accepted, 0, 0, 0)
        # 0.5 credits each: 75, 90 and 100 % of 1,000 were met meanwhile, by either alerter.
        await eventually(lambda: counts(owner, "alert_firings", 3), what="three thresholds")
        print(f"{traffic.accepted} events, {traffic.answers} answers, migrations {applied}")  # noqa: T201 - for the record


async def post(url: str, key: str, events: list[dict[str, Any]]) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as client:
        assert (await client.post(f"{url}/api/v1/events", json=events)).status_code == 202


async def counts(connection: asyncpg.Connection, table: str, number: int) -> bool:
    return bool(await connection.fetchval(f"SELECT count(*) FROM {table}") == number)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()
