"""Every secret contains a canary: no log, metric, trace or answer may contain one, also after failures."""

import asyncio
import base64
import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack

import asyncpg
import httpx
import pytest
from flexcredits_cli.stack.api_keys import create_key
from flexcredits_cli.stack.services import without_proxy
from ingest.domain.keys import mint_key
from support.clients.otlp_receiver import receiver
from support.data.factories import contract, event, organization, usage
from support.infra.service_process import (
    ServiceProcess,
    aggregator_environment,
    alerter_environment,
    eventually,
    free_port,
    running,
)
from support.infra.stack import ROLE_PASSWORD, Database, Topics
from support.services.alerter import smtp_server
from support.services.ingest import Ingest, environment
from support.services.query_api import AUDIENCE, ISSUER, identity_provider, make_rsa_key

pytestmark = pytest.mark.slow

SESSION = secrets.token_urlsafe(32)
SIGNING = base64.b64encode(b"canary-signing-secret-of-a-hook!").decode()
CANARIES = {
    ROLE_PASSWORD, SESSION, SIGNING, "canary-client-secret", "canary-unsubscribe-secret-of-32-bytes", "canary-smtp-password",
    "canary-slack-path", "canary-dsn-password", "canary-link", "canary-code",
}  # fmt: skip


def environments(database: Database, topics: Topics, smtp_port: int, jwks_url: str) -> dict[str, dict[str, str]]:
    shared = {"FLEXCREDITS_ENV": "test", **without_proxy()}
    links = {"FLEXCREDITS_UNSUBSCRIBE_SECRET": "canary-unsubscribe-secret-of-32-bytes"}
    smtp_url = f"smtp+starttls://flex:canary-smtp-password@127.0.0.1:{smtp_port}"
    query_port = free_port()
    return {
        "ingest": environment(database.roles["flexcredits_ingest"], topics, **shared),
        "aggregator": aggregator_environment(database, topics, **shared),
        "alerter": alerter_environment(database, topics, smtp_port, **shared, **links, SMTP_URL=smtp_url),
        "query_api": {
            "POSTGRES_DSN": database.roles["flexcredits_api"], "HTTP_PORT": str(query_port), "JWKS_URL": jwks_url,
            "TOKEN_ISSUER": ISSUER, "TOKEN_AUDIENCE": AUDIENCE, "DASHBOARD_URL": f"http://127.0.0.1:{query_port}",
            "AUTHORIZATION_URL": "http://127.0.0.1:9/authorize", "TOKEN_URL": "http://127.0.0.1:9/token", "CLIENT_ID": "flex",
            "CLIENT_SECRET": "canary-client-secret", **shared, **links,
        },
    }  # fmt: skip


def leaks(text: str, canaries: set[str]) -> Iterator[str]:
    """Canaries in a text, each with the text before it."""
    for canary in canaries:
        if canary in text:
            at = text.index(canary)
            yield text[max(0, at - 200) : at + len(canary)]


async def test_defects_and_outages_say_no_secret(database: Database, topics: Topics) -> None:
    key, broken_key = [await create_key(database.dsn, "*", "*") for _ in range(2)]
    wrong_key = key[:-20] + broken_key[-20:]
    said: dict[str, str] = {}
    async with AsyncExitStack() as here:
        received = here.enter_context(receiver())
        mailbox = await here.enter_async_context(smtp_server())
        provider = here.enter_context(identity_provider(make_rsa_key()))
        token = provider.token()
        owner = await asyncpg.connect(database.dsn)
        here.push_async_callback(owner.close)
        processes: dict[str, ServiceProcess] = {}
        environments_ = environments(database, topics, mailbox.port, provider.url)
        traces = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        for service, settings in environments_.items():
            processes[service] = here.enter_context(running(service, settings | traces))
        for service, process in processes.items():
            await eventually(process.ready, what=service)
        ingest = Ingest(f"http://127.0.0.1:{environments_['ingest']['HTTP_PORT']}", "", topics, key)
        browser = await here.enter_async_context(
            httpx.AsyncClient(
                base_url=environments_["query_api"]["DASHBOARD_URL"],
                trust_env=False,
                timeout=20,
                limits=httpx.Limits(max_keepalive_connections=0),  # a connection ends with a defect
            )
        )

        def keep(what: str, answer: httpx.Response) -> None:
            said[what] = f"{answer.headers}{answer.text}"

        async def query(what: str) -> int:
            """Send a request with every possible header and parameter."""
            for name, headers in {"token": {"Authorization": f"Bearer {token}"}, "cookie": {"Cookie": f"flexcredits={SESSION}"}}.items():  # fmt: skip
                answer = await browser.get("/api/v1/overview", headers=headers)
                keep(f"{what} {name}", answer)
            handshake = {"Cookie": "flexcredits-sign-in=canary-link"}
            keep(f"{what} link", await browser.get("/unsubscribe", params={"token": "canary-link"}))
            keep(f"{what} login", await browser.get("/login/callback?code=canary-code&state=x", headers=handshake))
            return answer.status_code

        member = event("flexcredits.member.v1", {"email": "ada@acme.example", "name": "Ada", "role": "super_admin"})
        keep("catalog events", await ingest.post([organization(), contract(total="10"), member]))
        keep("wrong key", await ingest.post(usage(), key=wrong_key))

        async def known() -> bool:
            return bool(await owner.fetchval("SELECT count(*) FROM credit_periods"))

        await eventually(known, what="the contract")
        for kind, url, signing in ("webhook", "https://127.0.0.1:9/hook", f"whsec_{SIGNING}"), ("slack", "https://127.0.0.1:9/canary-slack-path", None):  # fmt: skip
            await owner.execute(
                "INSERT INTO alert_channels (organization_id, kind, name, masked_url, url, signing_secret, created_by)"
                " SELECT organization_id, $1, 'Ops', 'https://127.0.0.1', $2, $3, 'ada' FROM organizations"
                " WHERE organization = 'org_acme'",
                kind, url, signing,
            )  # fmt: skip
        keep("usage", await ingest.post(usage(credits="8")))
        alerter = processes["alerter"]
        attempts = "flexcredits_alerter_mail_attempts_total"
        await eventually(lambda: alerter.metric(f'{attempts}{{outcome="deferred"}}') >= 1, what="a mail without TLS")
        await eventually(lambda: alerter.log.count("not sent: 127.0.0.1") == 2, what="both channels")
        assert await query("sound") == 401

        # Defects: the tables differ from what the services expect.
        await owner.execute("ALTER TABLE api_keys ALTER COLUMN organizations DROP NOT NULL")
        await owner.execute("UPDATE api_keys SET organizations = NULL WHERE key_id = $1", broken_key.split("_")[2])
        answer = await ingest.post(usage(), key=broken_key)
        assert answer.status_code == 500
        keep("defect", answer)
        for table in ("sessions", "credit_periods", "usage_ledger"):
            await owner.execute(f"ALTER TABLE {table} RENAME TO {table}_gone")
        assert await query("defect") == 500
        assert (await ingest.post(usage())).status_code == 202
        await eventually(lambda: alerter.exit_code == 70, what="the alerter ends")
        await eventually(lambda: processes["aggregator"].exit_code == 1, what="the aggregator ends")
        # An outage: ingest gets an unknown key, the query API gets requests.
        await owner.execute("ALTER TABLE api_keys RENAME TO api_keys_gone")
        another, _, _ = mint_key("test")
        answer = await ingest.post(usage(), key=another)
        assert answer.status_code == 503
        keep("outage", answer)
        for service, process in processes.items():
            assert "Traceback" in process.log, service
            said[f"log of {service}"] = process.log
            if process.exit_code is None:
                metrics = (await browser.get(f"http://127.0.0.1:{process.probe_port}/metrics")).text
                said[f"probes of {service}"] = f"{process.readiness()}{metrics}"
        assert received.named("evaluate organization")
        said["traces"] = b"".join(received.bodies).decode("latin-1")
    canaries = CANARIES | {token, *(each[20:] for each in (key, wrong_key, broken_key, another))}
    found = {what: [*leaks(text, canaries)] for what, text in said.items()}
    assert not {what: each for what, each in found.items() if each}


@pytest.mark.parametrize(
    ("service", "wrong", "expected"),
    [
        ("alerter", {"FLEXCREDITS_UNSUBSCRIBE_SECRET": "canary-short"}, "FLEXCREDITS_UNSUBSCRIBE_SECRET"),
        ("query_api", {"SESSION_IDLE_S": "canary"}, "session_idle_s"),
        ("aggregator", {"POSTGRES_DSN": "postgresql://u:canary@127.0.0.1:9/x"}, "Connection refused"),
    ],
)
async def test_settings_that_are_wrong_are_named_without_their_values(
    database: Database, topics: Topics, service: str, wrong: dict[str, str], expected: str
) -> None:
    given = environments(database, topics, 9, "http://127.0.0.1:9/jwks")[service]
    with running(service, given | wrong) as process:
        assert await asyncio.to_thread(process.wait) == 1
        assert expected in process.log
        assert not [*leaks(process.log, CANARIES | {"canary"})]
