"""Generated requests, valid and invalid, get only answers that the OpenAPI description contains (schemathesis)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from query_api.access.state import AppState
from query_api.app import build_app
from query_api.auth.signing_keys import SigningKeys, fetch_from
from query_api.auth.tokens import Verifier
from query_api.http.middleware import RequestObserver
from runtime.http.server import Server, listen, serve
from runtime.postgres.pool import Pool
from schemathesis import openapi
from support.clients.openapi_fuzz import check_everything
from support.data.table_rows import NOW, TOPIC, TableRows
from support.infra.service_process import free_port
from support.services.query_api import AUDIENCE, ISSUER, IdentityProvider

pytestmark = pytest.mark.timeout(600)  # hundreds of requests, on a machine that may do other work
WITHOUT_END = "/api/v1/live"


async def check(url: str, token: str, examples: int) -> None:
    schema = openapi.from_dict(build_app(None).openapi()).exclude(path=WITHOUT_END)
    await asyncio.to_thread(check_everything, schema, url, token, examples)


@pytest.fixture
async def url(pool: Pool, db: TableRows, provider: IdentityProvider) -> AsyncIterator[str]:
    """A real server with one organization that has rows of every kind."""
    number = await db.organization()
    await db.contract(number, "c1", "2026-01-01", "2027-01-01")
    await db.period(number, "c1", "p1", "2026-01-01", "2027-01-01", assistant=3, add_ons=[(2, True)])
    for product, kind in (("assistant", "model"), ("assistant", "tool"), ("assistant", "feature"), ("agents", "tool"), ("api", "namespace")):  # fmt: skip
        await db.feature(number, product, kind, kind, "2026-01-01", "Category")
        agent = "a1" if product == "agents" else ""
        await db.ledger(number, await db.use(number, product, kind, kind, "2026-11-01", 5, agent=agent), NOW, 5)
    email = await db.email(number, await db.firing(number, 75), "ada@acme.example", "failed", finished_at=NOW)
    await db.attempt(number, email, 1, "refused", "550 no such user")
    await db.email(number, None, "ada@acme.example")
    await db.member(number, "ada@acme.example")
    await db.banner(number, 75)
    for person in range(3):
        await db.audit_entry(number, f"user-{person}")
    await db.progress(0, NOW, counted=1)
    verifier, stop, port = (
        Verifier(SigningKeys(fetch_from(provider.url)), ISSUER, AUDIENCE),
        asyncio.Event(),
        free_port(),
    )
    parts = AppState(pool, pool, verifier, True, TOPIC, lambda: NOW, pool)
    server = Server(RequestObserver(build_app(parts)), connections_max=100, head_wait_s=5, shutdown_s=5)
    serving = asyncio.create_task(serve(server, listen("127.0.0.1", port), stop))
    yield f"http://127.0.0.1:{port}"
    stop.set()
    await serving


@pytest.mark.slow
async def test_generated_requests_get_what_is_described(url: str, provider: IdentityProvider) -> None:
    await check(url, provider.token(), 12)
