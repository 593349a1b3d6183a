"""Exports while they are sent: a slow or disconnected client, or a lost database, holds no connection, and the file is
incomplete."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
from query_api.access.state import AppState
from query_api.app import build_app
from query_api.auth.signing_keys import SigningKeys, fetch_from
from query_api.auth.tokens import Verifier
from query_api.exports.downloads import FileResponse
from query_api.exports.formats.files import copied
from query_api.http.middleware import RequestObserver
from runtime.http.server import Server, listen, serve
from runtime.postgres.pool import Pool
from starlette.types import Message
from support.data.table_rows import NOW, TOPIC, TableRows
from support.infra.service_process import eventually, free_port
from support.services.query_api import AUDIENCE, ISSUER, Api, IdentityProvider, OpenApi

USAGE = "/api/v1/export/usage.csv?range=all"
LINES = 150_000
"""About 100 MB with texts of maximum length: more than all socket buffers between Postgres and a client hold."""


async def fill(db: TableRows) -> None:
    acme = await db.organization()
    await db.execute(
        "INSERT INTO usage_series (organization_id, product, feature_kind, feature, agent_id, surface)"
        " SELECT $1, 'api', 'namespace', repeat('x', 120) || n, '', 'web' FROM generate_series(1, 1000) AS n", acme
    )  # fmt: skip
    await db.execute(
        "INSERT INTO features SELECT $1, 'api', 'namespace', feature, '2020-01-01', repeat('y', 128), repeat('z', 128), now(), 0"
        " FROM usage_series", acme
    )  # fmt: skip
    await db.execute(
        "INSERT INTO usage_daily SELECT $1, date '2026-01-01' + day, series_id, 1000001, 1"
        f" FROM usage_series, generate_series(0, {LINES // 1000 - 1}) AS day", acme
    )  # fmt: skip
    await db.execute(
        "INSERT INTO usage_organization_daily SELECT organization_id, day, 'api', 0, sum(credits), sum(events)"
        " FROM usage_daily GROUP BY 1, 2"
    )
    await db.execute(
        "INSERT INTO usage_organization_monthly SELECT organization_id, date_trunc('month', day)::date, 'api', 0, sum(credits), sum(events)"
        " FROM usage_daily GROUP BY 1, 2"
    )


@asynccontextmanager
async def listening(pool: Pool, export_pool: Pool, provider: IdentityProvider) -> AsyncIterator[httpx.AsyncClient]:
    """The application on a real socket."""
    verifier = Verifier(SigningKeys(fetch_from(provider.url)), ISSUER, AUDIENCE)
    app = RequestObserver(build_app(AppState(pool, pool, verifier, True, TOPIC, lambda: NOW, export_pool)))
    stop, port = asyncio.Event(), free_port()
    server = Server(app, connections_max=10, head_wait_s=5, shutdown_s=1)
    serving = asyncio.create_task(serve(server, listen("127.0.0.1", port), stop))
    headers = {"Authorization": f"Bearer {provider.token()}"}
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
            yield client
    finally:
        stop.set()
        await serving


async def is_free(pool: Pool) -> bool:
    """Whether the pool's connection is free and works."""
    try:
        async with pool.acquire(timeout=0.2) as connection:
            return bool(await connection.fetchval("SELECT true"))
    except TimeoutError:
        return False


async def is_idle(db: TableRows) -> bool:
    """Whether Postgres reads no export any more."""
    question = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'export' AND state <> 'idle'"
    return await db.count(question) == 0


async def test_a_large_file_arrives_whole(
    db: TableRows, pool: Pool, export_pool: Pool, provider: IdentityProvider
) -> None:
    await fill(db)
    async with listening(pool, export_pool, provider) as client:
        answer = await client.get(USAGE)
        assert answer.text.count("\r\n") == LINES + 1
        assert await is_free(export_pool)


async def test_who_goes_away_frees_the_connection(
    db: TableRows, pool: Pool, export_pool: Pool, provider: IdentityProvider
) -> None:
    await fill(db)
    async with listening(pool, export_pool, provider) as client:
        async with client.stream("GET", USAGE) as answer:
            pieces = answer.aiter_bytes()  # keep a reference: garbage collection would close the connection
            assert await anext(pieces)
            assert not await is_free(export_pool)
        await eventually(lambda: is_free(export_pool), within_s=10, what="the connection is free")
        await eventually(lambda: is_idle(db), within_s=10, what="Postgres has stopped")


async def test_a_busy_pool_is_503_and_others_are_answered(
    db: TableRows, pool: Pool, export_pool: Pool, provider: IdentityProvider
) -> None:
    await fill(db)
    async with listening(pool, export_pool, provider) as client, client.stream("GET", USAGE) as held:
        pieces = held.aiter_bytes()
        assert await anext(pieces)
        answer = await client.get(USAGE)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.headers["content-type"] == "application/problem+json"
        assert (await client.get("/api/v1/overview")).status_code == 200


async def test_a_database_lost_in_the_middle_cuts_the_file_off(
    db: TableRows, pool: Pool, export_pool: Pool, provider: IdentityProvider, expected_errors: list[str]
) -> None:
    expected_errors.append("uvicorn.error: Exception in ASGI application")
    await fill(db)
    async with listening(pool, export_pool, provider) as client:
        async with client.stream("GET", USAGE) as answer:
            pieces = answer.aiter_bytes()
            assert await anext(pieces)
            await db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'export'")
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                [piece async for piece in pieces]
        assert (await client.get(USAGE + "&product=agents")).status_code == 200


async def receive_nothing() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


class Client:
    """Accepts `pieces` pieces at once, and never the next one."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.taken: list[Message] = []

    async def send(self, message: Message) -> None:
        if len(self.taken) > self.pieces:
            await asyncio.Event().wait()
        self.taken.append(message)


def copying(pool: Pool, statement: str) -> AsyncGenerator[bytes, None]:
    async def copy(output: Callable[[bytes], Coroutine[Any, Any, None]]) -> None:
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.copy_from_query(statement, output=output, format="csv")

    return copied(copy)


ENDLESS = "SELECT repeat('x', 1000) FROM generate_series(1, 1000) AS a, generate_series(1, 1000) AS b, generate_series(1, 1000) AS c"


async def test_a_client_that_stalls_is_given_up(export_pool: Pool) -> None:
    client = Client(pieces=3)
    response = FileResponse(copying(export_pool, ENDLESS), "x.csv", "text/csv", send_within_s=0.2, file_within_s=30)
    with pytest.raises(TimeoutError):
        await response({"type": "http"}, receive_nothing, client.send)
    assert [message["type"] for message in client.taken] == ["http.response.start", *["http.response.body"] * 3]
    assert all(message["more_body"] for message in client.taken[1:])
    await eventually(lambda: is_free(export_pool), within_s=5, what="the connection is free")


async def test_a_client_that_stays_slow_is_disconnected(export_pool: Pool) -> None:
    taken: list[Message] = []

    async def send(message: Message) -> None:
        taken.append(message)
        await asyncio.sleep(0.05)

    response = FileResponse(copying(export_pool, ENDLESS), "x.csv", "text/csv", send_within_s=10, file_within_s=0.5)
    with pytest.raises(TimeoutError):
        await response({"type": "http"}, receive_nothing, send)
    assert 1 < len(taken) < 20
    assert await is_free(export_pool)


async def test_what_fails_before_the_first_byte_has_sent_nothing(export_pool: Pool) -> None:
    client = Client(pieces=9)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await FileResponse(copying(export_pool, "SELECT 1 / 0"), "x.csv", "text/csv")(
            {"type": "http"}, receive_nothing, client.send
        )
    assert client.taken == []


async def test_what_fails_later_never_sends_the_last_piece(export_pool: Pool) -> None:
    client = Client(pieces=10**9)
    statement = "SELECT repeat('x', 1000), 1 / (50000 - n) FROM generate_series(1, 100000) AS n"
    with pytest.raises(asyncpg.DivisionByZeroError):
        await FileResponse(copying(export_pool, statement), "x.csv", "text/csv")(
            {"type": "http"}, receive_nothing, client.send
        )
    assert len(client.taken) > 1
    assert all(message["more_body"] for message in client.taken[1:])


async def test_reading_for_a_file_ends_with_its_request(open_api: OpenApi, db: TableRows, export_pool: Pool) -> None:
    await db.organization()
    async with open_api() as api:
        assert isinstance(api, Api)
        for _ in range(3):
            assert (await api.ask(USAGE)).status_code == 200
            assert await is_free(export_pool)
