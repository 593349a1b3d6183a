"""The query API on its own database, with an identity provider that tests control."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flexcredits_cli.dev_idp.tokens import issuer_url
from flexcredits_cli.machine.state_folder import StateFolder
from flexcredits_cli.stack.services import issuer_program
from query_api.access.state import AppState, ExportLimits
from query_api.app import build_app
from query_api.auth.minisign import SigningKey
from query_api.auth.signing_keys import SigningKeys, fetch_from
from query_api.auth.tokens import Verifier
from query_api.http.middleware import RequestObserver
from query_api.web.files import BuiltFile
from runtime.postgres.pool import Pool, open_pool
from support.clients.sign_in import Browser, open_browser
from support.data.table_rows import TOPIC, TableRows
from support.infra.service_process import free_port
from support.infra.stack import Database, running
from support.services.query_api import (
    AUDIENCE,
    ISSUER,
    UNSUBSCRIBE_SECRET,
    Api,
    IdentityProvider,
    OpenApi,
    identity_provider,
    make_rsa_key,
)


@pytest.fixture(scope="session")
def signing_key() -> RSAPrivateKey:
    return make_rsa_key()


@pytest.fixture
def provider(signing_key: RSAPrivateKey) -> Iterator[IdentityProvider]:
    with identity_provider(signing_key) as running:
        yield running


@pytest.fixture
async def db(database: Database) -> AsyncIterator[TableRows]:
    connection = await asyncpg.connect(database.dsn, timeout=10)
    yield TableRows(connection)
    await connection.close()


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    dsn = database.roles["flexcredits_api"]
    async with open_pool(dsn, application="test", size=4, at_least=0, statement_timeout_s=10) as opened:
        yield opened


@pytest.fixture
async def export_pool(database: Database) -> AsyncIterator[Pool]:
    """One connection for exports."""
    dsn = database.roles["flexcredits_api"]
    async with open_pool(dsn, application="export", size=1, at_least=0, statement_timeout_s=60) as opened:
        yield opened


@pytest.fixture
async def open_api(pool: Pool, export_pool: Pool, provider: IdentityProvider) -> OpenApi:
    """Opens an API. The pool and the deployment's switch can be chosen."""

    @asynccontextmanager
    async def opening(
        pool: Pool = pool,
        export_pool: Pool = export_pool,
        *,
        billing_moderators: bool = True,
        dashboard: Mapping[str, BuiltFile] | None = None,
        export_key: SigningKey | None = None,
        export_limits: ExportLimits = ExportLimits(),  # noqa: B008 - immutable
    ) -> AsyncIterator[Api]:
        keys = SigningKeys(fetch_from(provider.url))
        verifier = Verifier(keys, ISSUER, AUDIENCE)
        state = AppState(
            pool,
            pool,
            verifier,
            billing_moderators,
            TOPIC,
            lambda: api.now,
            export_pool,
            unsubscribe_secret=UNSUBSCRIBE_SECRET,
            export_key=export_key,
            export_limits=export_limits,
        )
        transport = httpx.ASGITransport(
            RequestObserver(build_app(state, dashboard=dashboard)), raise_app_exceptions=False
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
            api = Api(client, provider)
            yield api

    return opening


@pytest.fixture
async def api(open_api: OpenApi) -> AsyncIterator[Api]:
    async with open_api() as opened:
        yield opened


@pytest.fixture(scope="session")
def issuer_state(tmp_path_factory: pytest.TempPathFactory) -> StateFolder:
    return StateFolder(tmp_path_factory.mktemp("issuer")).make()


@pytest.fixture(scope="session")
def issuer(issuer_state: StateFolder) -> Iterator[str]:
    port = free_port()
    with running(issuer_program(port, issuer_state)):
        yield issuer_url(port)


@pytest.fixture
async def browser(pool: Pool, issuer: str) -> AsyncIterator[Browser]:
    async with open_browser(pool, issuer) as opened:
        yield opened


@pytest.fixture
async def demo(db: TableRows) -> int:
    return await db.organization("org_demo")
