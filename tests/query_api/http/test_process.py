"""The query API as a process: its settings, and how it ends."""

import asyncio
import signal
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr, ValidationError
from query_api.settings import Settings
from support.data.table_rows import TableRows
from support.infra.service_process import eventually, free_port, running
from support.infra.stack import Database
from support.services.query_api import AUDIENCE, ISSUER, UNSUBSCRIBE_SECRET, IdentityProvider

REQUIRED = {
    "postgres_dsn": "postgresql://x", "http_port": 1, "probe_port": 2, "token_issuer": ISSUER, "token_audience": AUDIENCE,
    "flexcredits_unsubscribe_secret": UNSUBSCRIBE_SECRET,
}  # fmt: skip


@pytest.mark.parametrize(
    ("url", "environment", "starts"),
    [
        ("https://login.example/jwks", "production", True),
        ("http://127.0.0.1:9/jwks", "development", True),
        ("http://[::1]:9/jwks", "development", True),
        ("http://127.0.0.1:9/jwks", "production", False),
        ("http://localhost:9/jwks", "development", False),
        ("http://login.example/jwks", "development", False),
        ("http://127.0.0.1.evil.example/jwks", "development", False),
        ("file:///etc/passwd", "development", False),
        ("ftp://127.0.0.1/jwks", "development", False),
        ("https:///jwks", "production", False),
        ("", "development", False),
    ],
)
def test_keys_come_over_tls_or_from_this_machine_in_development(url: str, environment: str, starts: bool) -> None:
    values: dict[str, Any] = {**REQUIRED, "jwks_url": url, "flexcredits_env": environment}
    if starts:
        assert Settings(**values).jwks_url == url
    else:
        with pytest.raises(ValidationError, match="JWKS_URL"):
            Settings(**values)


def test_production_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEXCREDITS_ENV", raising=False)
    settings = Settings(**REQUIRED, jwks_url="https://login.example/jwks")
    assert settings.flexcredits_env == "production"
    assert "postgresql" not in repr(settings)
    assert UNSUBSCRIBE_SECRET not in repr(settings)


def test_a_short_secret_for_links_is_refused() -> None:
    with pytest.raises(ValidationError, match="flexcredits_unsubscribe_secret"):
        Settings(**REQUIRED | {"flexcredits_unsubscribe_secret": "x" * 31}, jwks_url="https://login.example/jwks")


def test_a_signing_key_is_32_bytes_or_missing() -> None:
    def key(text: str) -> SecretStr | None:
        return Settings(**REQUIRED, jwks_url="https://login.example/jwks", export_signing_key=text).export_signing_key

    assert key("") is None  # as in compose, if the variable is not set
    given = key(" " + "0f" * 32 + "\n")
    assert given is not None
    assert given.get_secret_value() == "0f" * 32
    for wrong in ("0f" * 31, "xy" * 32):
        with pytest.raises(ValidationError, match="EXPORT_SIGNING_KEY") as refused:
            key(wrong)
        assert wrong not in str(refused.value)


async def test_the_service_answers_until_it_is_stopped(
    db: TableRows, database: Database, provider: IdentityProvider
) -> None:
    await db.use(await db.organization(), "api", "namespace", "search", "2026-11-01", 5)
    port = free_port()
    environment = {
        "POSTGRES_DSN": database.roles["flexcredits_api"],
        "HTTP_PORT": str(port),
        "FLEXCREDITS_ENV": "development",
        "JWKS_URL": provider.url,
        "TOKEN_ISSUER": ISSUER,
        "TOKEN_AUDIENCE": AUDIENCE,
        "FLEXCREDITS_UNSUBSCRIBE_SECRET": UNSUBSCRIBE_SECRET,
    }
    with running("query_api", environment) as process:
        await eventually(process.ready, what="readiness")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            headers = {"Authorization": f"Bearer {provider.token()}"}
            answer = await client.get("/api/v1/overview", headers=headers)
            assert (answer.status_code, answer.json()["credits_used"]) == (200, "0.000005")
            assert "server" not in answer.headers
            refused = await client.get("/api/v1/overview", headers={"Authorization": "Bearer x"})
            assert refused.status_code == 401
            metrics = await client.get(f"http://127.0.0.1:{process.probe_port}/metrics")
            assert (
                'flexcredits_query_api_request_seconds_count{route="/api/v1/overview",status="200"} 1.0' in metrics.text
            )
            assert "org_acme" not in metrics.text
            assert await endless_headers(port) < 5_000_000  # the size of socket buffers depends on the load
            # A request that has started gets its answer.
            locker = await asyncpg.connect(database.dsn, timeout=10)
            async with locker.transaction():
                await locker.execute("LOCK TABLE usage_organization_monthly IN ACCESS EXCLUSIVE MODE")
                asked = asyncio.create_task(client.get("/api/v1/overview", headers=headers))
                await eventually(lambda: waits_for_lock(locker), what="the request waits")
                process.send(signal.SIGTERM)
                await eventually(lambda: refuses_connections(port), what="no new connections")
            await locker.close()
            assert (await asked).status_code == 200
        assert await asyncio.to_thread(process.wait) == 0
        assert provider.token() not in process.log


async def waits_for_lock(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))


async def refuses_connections(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    await writer.wait_closed()
    return False


async def endless_headers(port: int) -> int:
    """Bytes of headers that the service reads before it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
    sent = 0
    try:
        while sent < 50_000_000 and not reader.at_eof():
            writer.write(b"X-%d: %s\r\n" % (sent, b"a" * 8000))
            await asyncio.wait_for(writer.drain(), 10)
            await asyncio.sleep(0)
            sent += 8000
    except ConnectionError:
        pass
    writer.close()
    return sent
