"""Clients generated from the OpenAPI description against a real query API. Needs --clients."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from flexcredits_schemas import SCHEMAS
from query_api.access.state import AppState
from query_api.app import build_app
from query_api.auth.signing_keys import SigningKeys, fetch_from
from query_api.auth.tokens import Verifier
from query_api.http.middleware import RequestObserver
from runtime.http.server import Server, listen, serve
from runtime.postgres.pool import Pool
from support.clients.foreign_clients import generate_go, generate_python, run
from support.data.table_rows import NOW, TOPIC, TableRows
from support.infra.service_process import free_port
from support.services.query_api import AUDIENCE, ISSUER, IdentityProvider

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]
DESCRIPTION = SCHEMAS / "http" / "query-api.json"

GENERATED_PYTHON = """
import importlib, os, pkgutil
import generated.api as api
from generated import AuthenticatedClient

modules = [importlib.import_module(at.name) for at in pkgutil.walk_packages(api.__path__, "generated.api.")]
get_overview = next(at for at in modules if at.__name__.endswith(".get_overview"))
overview = get_overview.sync(client=AuthenticatedClient(os.environ["URL"], os.environ["KEY"]))
assert overview.credits_used == "5.000000", overview
"""

GENERATED_GO = """
package main

import (
	"context"
	"fmt"
	"os"

	"example.test/try/client"
)

func main() {
	configuration := client.NewConfiguration()
	configuration.Servers = client.ServerConfigurations{{URL: os.Getenv("URL")}}
	configuration.AddDefaultHeader("Authorization", "Bearer "+os.Getenv("KEY"))
	overview, _, err := client.NewAPIClient(configuration).UsageAPI.GetOverview(context.Background()).Execute()
	if err != nil || overview.CreditsUsed != "5.000000" {
		fmt.Println(err, overview)
		os.Exit(1)
	}
}
"""


@pytest.fixture
async def url(pool: Pool, db: TableRows, provider: IdentityProvider) -> AsyncIterator[str]:
    number = await db.organization()
    series = await db.use(number, "assistant", "tool", "jira", "2026-11-01", 5_000_000)
    await db.ledger(number, series, NOW, 5_000_000)
    await db.progress(0, NOW, counted=1)
    verifier = Verifier(SigningKeys(fetch_from(provider.url)), ISSUER, AUDIENCE)
    parts = AppState(pool, pool, verifier, True, TOPIC, lambda: NOW, pool)
    server = Server(RequestObserver(build_app(parts)), connections_max=100, head_wait_s=5, shutdown_s=5)
    stop, port = asyncio.Event(), free_port()
    serving = asyncio.create_task(serve(server, listen("127.0.0.1", port), stop))
    yield f"http://127.0.0.1:{port}"
    stop.set()
    await serving


async def test_a_generated_python_client_reads_the_overview(
    url: str, provider: IdentityProvider, tmp_path: Path
) -> None:
    def call() -> None:
        python = generate_python(DESCRIPTION, tmp_path)
        run(python, "-c", GENERATED_PYTHON, folder=tmp_path, URL=url, KEY=provider.token())

    await asyncio.to_thread(call)


async def test_a_generated_go_client_reads_the_overview(url: str, provider: IdentityProvider, tmp_path: Path) -> None:
    def call() -> None:
        module = generate_go(DESCRIPTION, tmp_path)
        (module / "main.go").write_text(GENERATED_GO)
        run("go", "run", ".", folder=module, URL=url, KEY=provider.token())

    await asyncio.to_thread(call)
