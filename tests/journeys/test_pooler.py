"""All services behind a PgBouncer in transaction mode: usage is counted, shown and alerted."""

from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import httpx
import pytest
from flexcredits_cli.stack.api_keys import create_key
from flexcredits_cli.stack.services import without_proxy
from support.data.factories import contract, correction, event, organization, usage
from support.infra.pgbouncer import pgbouncer
from support.infra.service_process import aggregator_environment, alerter_environment, eventually, free_port, running
from support.infra.stack import Database, Topics
from support.services.alerter import smtp_server
from support.services.ingest import Ingest, environment
from support.services.query_api import AUDIENCE, ISSUER, UNSUBSCRIBE_SECRET, identity_provider, make_rsa_key

pytestmark = pytest.mark.slow

ADA = event("flexcredits.member.v1", {"email": "ada@acme.example", "name": "Ada", "role": "super_admin"})


async def test_usage_is_counted_shown_and_alerted_through_a_pooler(database: Database, topics: Topics) -> None:
    key = await create_key(database.dsn, "*", "*")
    async with AsyncExitStack() as here:
        pooled = here.enter_context(pgbouncer(database)).database(database)
        mailbox = await here.enter_async_context(smtp_server())
        provider = here.enter_context(identity_provider(make_rsa_key()))
        shared = {"FLEXCREDITS_ENV": "test", "FLEXCREDITS_UNSUBSCRIBE_SECRET": UNSUBSCRIBE_SECRET, **without_proxy()}
        query = f"http://127.0.0.1:{free_port()}"
        environments = {
            "ingest": environment(pooled.roles["flexcredits_ingest"], topics, **shared),
            "aggregator": aggregator_environment(pooled, topics, **shared),
            "alerter": alerter_environment(pooled, topics, mailbox.port, **shared),
            "query_api": {
                "POSTGRES_DSN": pooled.roles["flexcredits_api"], "HTTP_PORT": query.rpartition(":")[2], "JWKS_URL": provider.url,
                "TOKEN_ISSUER": ISSUER, "TOKEN_AUDIENCE": AUDIENCE, "USAGE_EVENTS_TOPIC": topics.usage_events, **shared,
            },
        }  # fmt: skip
        services = {name: here.enter_context(running(name, settings)) for name, settings in environments.items()}
        for name, service in services.items():
            await eventually(service.ready, what=name)
            assert "reached through a pooler" in service.log
        headers = {"Authorization": f"Bearer {provider.token()}"}
        client = await here.enter_async_context(httpx.AsyncClient(base_url=query, headers=headers, trust_env=False))

        async def get(path: str) -> Any:
            return (await client.get(f"/api/v1/{path}")).raise_for_status().json()

        async def used(credits: str) -> None:
            async def shown() -> bool:
                return Decimal((await get("overview"))["credits_used"]) == Decimal(credits)

            await eventually(shown, what=f"{credits} credits")

        ingest = Ingest(f"http://127.0.0.1:{environments['ingest']['HTTP_PORT']}", "", topics, key)
        assert (await ingest.post([organization(), contract(total="100"), ADA])).status_code == 202
        first = usage(credits="2")
        counted = Decimal(0)
        for number in range(5):  # each in a batch of its own, and so in another session
            person = {"actor": {"id": f"u{number}", "kind": "user"}, "run": {"id": f"r{number}"}}
            sent = [first, usage(credits="1.5"), usage(credits="0.25", **person)]
            assert (await ingest.post(sent)).status_code == 202
            counted += Decimal("1.75")
            await used(str(counted + 2))
        assert (await ingest.post(correction(first, "-1"))).status_code == 202
        await used(str(counted + 1))
        assert (await ingest.post(usage(credits="80"))).status_code == 202
        await used(str(counted + 81))

        async def is_alerted() -> bool:
            return bool(mailbox.got) and bool((await get("alerts"))["alerts"])

        await eventually(is_alerted, what="the alert and its mail")
        file = (await client.get("/api/v1/export/usage.csv")).raise_for_status()
        assert len(file.text.splitlines()) > 1, file.text
        for name, service in services.items():
            assert service.exit_code is None, name
            assert "Traceback" not in service.log, service.log
