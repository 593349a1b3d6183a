"""Makes each alert that needs minutes fire by its fault, in running services that Debian's Prometheus scrapes.

The others are set off in tests/journeys/test_prometheus.py.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
import httpx
import pytest
from flexcredits_cli.stack.api_keys import create_key
from flexcredits_cli.stack.services import without_proxy
from support.clients.prometheus import Prometheus, alerts, prometheus
from support.data.factories import contract, event, organization, usage
from support.infra.service_process import (
    ServiceProcess,
    aggregator_environment,
    alerter_environment,
    eventually,
    free_port,
    running,
)
from support.infra.stack import Database, Topics
from support.services.ingest import Ingest, environment
from support.services.query_api import AUDIENCE, ISSUER, identity_provider, make_rsa_key

NOWHERE = 9
LOCKED_S = 121
"""Longer than the two minutes that the alert rule allows a sweep to be late."""


@dataclass
class Watched:
    """Four services and the Prometheus that scrapes them."""

    here: AsyncExitStack
    settings: dict[str, dict[str, str]]
    processes: dict[str, ServiceProcess]
    watching: Prometheus
    ingest: Ingest
    browser: httpx.AsyncClient

    def start(self, service: str) -> ServiceProcess:
        """Start a service again, on the same ports."""
        self.processes[service] = self.here.enter_context(running(service, self.settings[service]))
        return self.processes[service]

    async def fires(
        self, name: str, provoke: Callable[[], Awaitable[object]] | None = None, within_s: float = 60
    ) -> None:
        async def fired() -> bool:
            if provoke is not None:
                await provoke()
            return f"FlexCredits{name}" in await asyncio.to_thread(self.watching.firing)

        await eventually(fired, within_s=within_s, what=name)

    async def rests(self, *names: str) -> None:
        """Wait until none of these alerts fires."""

        async def resting() -> bool:
            return not {f"FlexCredits{name}" for name in names} & set(await asyncio.to_thread(self.watching.firing))

        await eventually(resting, within_s=60, what="recovery")

    async def send(self, events: int) -> None:
        assert (await self.ingest.post([usage() for _ in range(events)])).status_code == 202

    async def query(self) -> None:
        await asyncio.gather(*(self.browser.get("/api/v1/credit-periods") for _ in range(3)))


@asynccontextmanager
async def watched(database: Database, topics: Topics) -> AsyncIterator[Watched]:
    """Four services with long limits of their own, so that alerts fire first. No mail server is reachable."""
    async with AsyncExitStack() as here:
        provider = here.enter_context(identity_provider(make_rsa_key()))
        shared = {"FLEXCREDITS_ENV": "test", **without_proxy()}
        settings = {
            "ingest": environment(database.roles["flexcredits_ingest"], topics, **shared),
            "aggregator": aggregator_environment(database, topics, STALL_S="5", STUCK_EXIT_S="1000", **shared),
            "alerter": alerter_environment(database, topics, NOWHERE, SWEEP_INTERVAL_S="1", STALL_S="1000", **shared),
            "query_api": {
                "POSTGRES_DSN": database.roles["flexcredits_api"], "HTTP_PORT": str(free_port()), "JWKS_URL": provider.url,
                "TOKEN_ISSUER": ISSUER, "TOKEN_AUDIENCE": AUDIENCE, "USAGE_EVENTS_TOPIC": topics.usage_events,
                "FLEXCREDITS_UNSUBSCRIBE_SECRET": "for tests alone, and for nothing else", **shared,
            },
        }  # fmt: skip
        for environment_ in settings.values():
            environment_["PROBE_PORT"] = str(free_port())
        url = {service: f"http://127.0.0.1:{settings[service]['HTTP_PORT']}" for service in ("ingest", "query_api")}
        key = await create_key(database.dsn, "*", "*")
        token = {"Authorization": f"Bearer {provider.token()}"}
        browser = httpx.AsyncClient(base_url=url["query_api"], headers=token, trust_env=False, timeout=10)
        targets = [(service.replace("_", "-"), int(own["PROBE_PORT"])) for service, own in settings.items()]
        watching = here.enter_context(prometheus(targets, impatient=True))
        all_ = Watched(here, settings, {}, watching, Ingest(url["ingest"], "", topics, key), browser)
        await here.enter_async_context(browser)
        for service in settings:
            await eventually(all_.start(service).ready, what=service)
        yield all_


@pytest.mark.faults
@pytest.mark.timeout(420)
async def test_faults_that_last_set_off_their_alerts(database: Database, topics: Topics) -> None:
    async with (
        watched(database, topics) as system,
        asyncpg.create_pool(database.dsn, min_size=3, max_size=3) as owners,
        owners.acquire() as owner, owners.acquire() as at_rows, owners.acquire() as at_table,
    ):  # fmt: skip
        fires = system.fires
        member = event("flexcredits.member.v1", {"email": "ada@acme.example", "name": "Ada", "role": "super_admin"})
        assert (
            await system.ingest.post([organization(), contract(total="10"), member, usage(credits="8")])
        ).status_code == 202

        async def waits() -> bool:
            return bool(await owner.fetchval("SELECT count(*) FROM email_outbox"))

        await eventually(waits, what="a mail that no server takes")
        watching, names = system.watching, {name.removeprefix("FlexCredits") for name in alerts()}
        await eventually(lambda: set(watching.targets().values()) == {"up"}, what="all targets up")
        await system.rests(*names - {"MailsFail"})

        # Mail that no server accepts, for eleven minutes.
        await owner.execute("UPDATE email_outbox SET created_at = created_at - interval '11 minutes'")
        await fires("MailOld")
        # A row that was changed by hand makes ingest fail.
        broken_key = await create_key(database.dsn, "*", "*")
        await owner.execute("ALTER TABLE api_keys ALTER COLUMN organizations DROP NOT NULL")
        await owner.execute("UPDATE api_keys SET organizations = NULL WHERE key_id = $1", broken_key.split("_")[2])

        async def send_with_broken_key() -> None:
            assert (await system.ingest.post(usage(), key=broken_key)).status_code == 500

        await fires("IngestFails", send_with_broken_key)
        await fires("IngestErrorsBurnSlowly")
        # Sessions that lock the tables of aggregator, alerter and query API.
        async with at_rows.transaction():
            await at_rows.execute("SELECT FROM partition_progress FOR UPDATE")
            async with at_table.transaction():
                await at_table.execute("LOCK TABLE credit_periods")
                locked_at = asyncio.get_running_loop().time()
                await fires("QueryApiSlow", system.query)
                await system.send(9_000)
                await fires("StandsStill")

                async def send_more() -> None:
                    await system.send(200)
                    await asyncio.sleep(2)

                await fires("LagGrows", send_more, within_s=180)
                await fires("TotalsDelayed")
                remaining_s = LOCKED_S - (asyncio.get_running_loop().time() - locked_at)
                await fires("SweepLate", within_s=max(0.0, remaining_s) + 30)
        await fires("FreshnessBurnsFast")
        await fires("FreshnessBurnsSlowly")

        await system.rests("TotalsDelayed", "SweepLate", "StandsStill")
        # A process that is killed repeatedly, and one that stays down.
        for _ in range(3):
            system.processes["ingest"].kill()
            await eventually(system.start("ingest").ready, what="ingest again")
            await asyncio.sleep(2.5)  # two scrapes: Prometheus must see each start
        await fires("RestartsOften")
        assert "FlexCreditsServiceStopped" not in watching.firing()
        system.processes["query_api"].kill()
        await fires("ServiceStopped")
        assert watching.firing()["FlexCreditsServiceStopped"]["labels"]["service"] == "query-api"
