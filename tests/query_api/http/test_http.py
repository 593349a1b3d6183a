"""Properties of all answers: problems, headers, metrics and the OpenAPI description. Also an unavailable database."""

import asyncio
import json
import re
import signal
from typing import Any

import asyncpg
import httpx
import jsonschema_rs
import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError
from query_api.app import build_app
from query_api.db.session import find_problem
from query_api.description.examples import BODIES
from query_api.openapi import TARGET, render
from query_api.settings import Settings
from runtime.postgres.pool import open_pool
from support.data.table_rows import NOW, Books
from support.infra.service_process import eventually, free_port, running
from support.infra.stack import Database
from support.services.query_api import AUDIENCE, ISSUER, UNSUBSCRIBE_SECRET, Api, IdentityProvider, OpenApi

PATHS = {
    "/api/v1/overview": "Overview",
    "/api/v1/breakdown?product=agents&view=features&range=all": "Breakdown",
    "/api/v1/breakdown?product=agents&view=features&group_by=surface&from=2026-11&to=2026-12&limit=1": "Breakdown",
    "/api/v1/deleted-agents": "DeletedAgents",
    "/api/v1/trend?group_by=agent": "Trend",
    "/api/v1/freshness": "Freshness",
    "/api/v1/proof": "Proof",
    "/api/v1/proof?hours=24": "Proof",
    "/api/v1/banner": "Banner",
    "/api/v1/alerts?limit=1": "Alerts",
    "/api/v1/alerts/settings": "AlertSettingsResponse",
    "/api/v1/alerts/test-mail": "TestMails",
    "/api/v1/alert-channels": "Channels",
    "/api/v1/audit?limit=1": "AuditLog",
    "/api/v1/session": "SessionResponse",
    "/api/v1/credit-periods": "CreditPeriods",
    "/api/v1/reconcile": "Reconciliation",
    "/api/v1/receipt?source=/products/api&id=event-1": "Receipt",
}
FILES = ["/api/v1/export/usage.csv", "/api/v1/export/table.csv?product=api&view=namespaces", "/api/v1/export/focus.csv"]


OTHERWISE_READ = {
    "/api/v1/alerts/{id}",
    "/api/v1/alert-channels/{id}/deliveries",
    "/api/v1/live",
    "/login",
    "/login/callback",
}
"""Routes for an id, streams and redirects. The tests of their topics read them."""


def test_every_answer_is_compared_with_its_description() -> None:
    described = {path for path, operations in build_app(None).openapi()["paths"].items() if "get" in operations}
    assert {path.partition("?")[0] for path in [*PATHS, *FILES]} | OTHERWISE_READ == described


def test_the_committed_description_is_the_codes() -> None:
    assert TARGET.read_text() == render(), "run python -m query_api.openapi"


def validator(schema: str) -> jsonschema_rs.Validator:
    description = build_app(None).openapi()
    return jsonschema_rs.validator_for({**description, "$ref": f"#/components/schemas/{schema}"})


def test_every_answer_and_parameter_has_an_example_that_is_valid() -> None:
    description = build_app(None).openapi()
    answers = set()
    for path, operations in description["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                jsonschema_rs.validator_for({**description, **parameter["schema"]}).validate(parameter["example"])
            for content in operation.get("requestBody", {}).get("content", {}).values():
                jsonschema_rs.validator_for({**description, **content["schema"]}).validate(content["example"])
            for status, response in operation["responses"].items():
                for media_type, content in response.get("content", {}).items():
                    if content.get("schema"):
                        schema = {**description, **content["schema"]}
                        jsonschema_rs.validator_for(schema, validate_formats=True).validate(content["example"])
                        answers.add((path, status, media_type))
    assert ("/api/v1/breakdown", "200", "application/json") in answers
    assert {path for path, status, _ in answers if status == "200"} >= {path.partition("?")[0] for path in PATHS}


async def test_answers_are_as_described(api: Api, books: Books) -> None:
    acme = await books.organization()
    await books.contract(
        acme, "c1", "2026-01-01", "2027-01-01", minimum_commitment=1, overage_price=2, credit_price=3, currency="EUR",
        account_team=("Grace", None, None),
    )  # fmt: skip
    await books.period(acme, "c1", "p1", "2026-01-01", "2027-01-01", assistant=3, agents=0, add_ons=[(1, True)])
    series = await books.use(acme, "agents", "tool", "search", "2026-11-01", 5, agent="a1")
    await books.event("org_acme", acme, series, "/products/api", "event-1", 5)
    await books.firing(acme, 50)
    firing = await books.firing(acme, 75)
    email = await books.email(acme, firing, "ada@acme.example", attempts=1)
    await books.attempt(acme, email, 1, "deferred", "451 greylisted")
    await books.email(acme, None, "ada@acme.example")
    await books.banner(acme, 75)
    await books.audit_entry(acme, "user-1")
    await books.audit_entry(acme, "user-2")
    for path, schema in PATHS.items():
        for moment in ("without progress", "with progress"):
            if moment == "with progress":
                await books.execute("DELETE FROM partition_progress")
                await books.progress(0, NOW, counted=1)
            validator(schema).validate(await api.get(path))
    validator("AlertWithAttempts").validate(await api.get(f"/api/v1/alerts/{firing}"))
    for method, path, schema, status in (
        ("PUT", "/api/v1/alerts/settings", "AlertSettingsResponse", 200),
        ("POST", "/api/v1/alerts/preview", "Preview", 200),
        ("POST", "/api/v1/alerts/test-mail", "TestMailAccepted", 202),
        ("POST", "/api/v1/alert-channels", "CreatedChannel", 201),
    ):
        answer = await api.send(method, path, BODIES[path], headers={"If-Match": '"0"'})
        assert answer.status_code == status, answer.text
        validator(schema).validate(answer.json())
    problem = validator("Problem")
    problem.validate((await api.send("PUT", "/api/v1/alerts/settings", BODIES["/api/v1/alerts/settings"], headers={"If-Match": '"0"'})).json())  # fmt: skip
    for path, status in (
        ("/api/v1/nothing", 404),
        ("/", 404),
        ("/docs/assets/nothing.js", 404),
        ("/api/v1/breakdown", 422),
        ("/api/v1/alerts?before=x", 422),
        ("/api/v1/alerts/x", 422),
        ("/api/v1/alerts/999", 404),
        ("/api/v1/breakdown?product=api&view=namespaces&after=x", 422),
        ("/api/v1/breakdown?product=api&view=namespaces&credit_period=p9", 404),
    ):
        answer = await api.ask(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        problem.validate(answer.json())
        assert answer.json()["status"] == status
    answer = await api.client.post("/api/v1/overview", json={"organization": "org_other"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    problem.validate(answer.json())


async def test_no_answer_is_used_again_unasked_or_guessed_and_no_other_origin_may_read_it(
    api: Api, books: Books
) -> None:
    await books.organization()
    for path in (*PATHS, *FILES, "/api/v1/nothing", "/docs", "/openapi.json"):
        answer = await api.client.get(path, headers={"Authorization": f"Bearer {api.provider.token()}", "Origin": "https://evil.example"})  # fmt: skip
        assert answer.headers["x-content-type-options"] == "nosniff"
        is_kept = path in PATHS and path != "/api/v1/alerts/settings" and answer.status_code == 200
        kept = "private, no-cache" if is_kept else "no-store"
        assert answer.headers["cache-control"] == kept
        assert answer.headers["x-frame-options"] == "DENY"
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "server" not in answer.headers


async def test_the_documentation_needs_no_other_host(api: Api) -> None:
    page = await api.client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) >= 3
    for link in links:
        assert link.startswith("/docs/assets/")
        assert (await api.client.get(link)).status_code == 200
    assert "//" not in re.sub(r"//\s", "", page.text).replace("<!--", "")
    assert (await api.client.get("/openapi.json")).json() == build_app(None).openapi()


async def test_the_documentation_has_both_apis_by_topic_and_a_sentence_for_each_operation(api: Api) -> None:
    both = (await api.client.get("/docs/openapi.json")).json()
    assert "post" in both["paths"]["/api/v1/events"]
    topics = {tag["name"] for tag in both["tags"] if tag["description"]}
    for path, operations in both["paths"].items():
        for method, operation in operations.items():
            if method == "servers":
                continue
            assert set(operation["tags"]) <= topics, path
            assert " " in operation["summary"] or path.startswith("/log"), path
            assert not operation["summary"].istitle() or path.startswith("/log"), path
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(both)))
    assert named <= set(both["components"]["schemas"])


def seconds_count(route: str, status: int) -> float:
    labels = {"route": route, "status": str(status)}
    return REGISTRY.get_sample_value("flexcredits_query_api_request_seconds_count", labels) or 0


async def test_requests_are_measured_by_route_and_never_by_address(api: Api, books: Books) -> None:
    await books.organization()
    for path, route, status in (
        ("/api/v1/breakdown?product=api&view=namespaces", "/api/v1/breakdown", 200),
        ("/api/v1/breakdown", "/api/v1/breakdown", 422),
        ("/api/v1/made-up", "unmatched", 404),
    ):
        before = seconds_count(route, status)
        await api.ask(path)
        assert seconds_count(route, status) == before + 1, route


async def test_postgres_away_is_503(open_api: OpenApi) -> None:
    dsn = f"postgresql://flexcredits_api:x@127.0.0.1:{free_port()}/nowhere"
    async with open_pool(dsn, application="test", size=1, at_least=0, statement_timeout_s=1) as pool:
        assert "ConnectionRefusedError" in (await find_problem(pool) or "")
        async with open_api(pool) as api:
            for path in (*PATHS, *FILES):
                answer = await api.ask(path)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
                assert answer.json()["type"] == "/problems/unavailable"
                assert "127.0.0.1" not in answer.text


async def test_a_read_that_takes_too_long_is_503_and_a_lost_connection_is_made_again(
    open_api: OpenApi, books: Books, database: Database
) -> None:
    await books.organization()
    dsn = database.roles["flexcredits_api"]
    async with (
        open_pool(dsn, application="slow", size=1, at_least=0, statement_timeout_s=2) as pool,
        open_api(pool) as api,
    ):
        locker = await asyncpg.connect(database.dsn, timeout=10)
        async with locker.transaction():
            await locker.execute("LOCK TABLE usage_organization_daily IN ACCESS EXCLUSIVE MODE")
            assert (await api.ask("/api/v1/overview")).status_code == 503
        assert (await api.ask("/api/v1/overview")).status_code == 200
        await locker.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'slow'")
        await locker.close()
        await eventually(lambda: pool.get_size() == 0, what="the loss is noticed")
        assert (await api.ask("/api/v1/overview")).status_code == 200


async def test_a_busy_pool_is_waited_for_and_not_called_away(
    open_api: OpenApi, books: Books, database: Database
) -> None:
    await books.organization()
    dsn = database.roles["flexcredits_api"]
    async with (
        open_pool(dsn, application="busy", size=1, at_least=0, statement_timeout_s=20) as pool,
        open_pool(dsn, application="probe", size=1, at_least=0, statement_timeout_s=20) as probe_pool,
        open_api(pool) as api,
        asyncio.TaskGroup() as group,
    ):
        locker = await asyncpg.connect(database.dsn, timeout=10)
        async with locker.transaction():
            await locker.execute("LOCK TABLE usage_organization_daily IN ACCESS EXCLUSIVE MODE")
            asked = [group.create_task(api.ask("/api/v1/overview")) for _ in range(3)]
            await locker.execute("SELECT pg_sleep(3)")  # longer than an earlier limit of two seconds
            assert await find_problem(probe_pool) is None, "a busy database is no reason to refuse every request"
        await locker.close()
        assert [(await answer).status_code for answer in asked] == [200] * 3


async def test_one_organizations_slow_reads_leave_the_others_their_connections(
    open_api: OpenApi, books: Books, database: Database
) -> None:
    """org_slow sends requests all the time, and each of its reads takes seconds."""
    slow, _quick = await books.organization("org_slow"), await books.organization("org_acme")
    await books.contract(slow, "c1", "2026-01-01", "2027-01-01")
    await books.period(slow, "c1", "p1", "2026-01-01", "2027-01-01", total=100)
    await books.execute(
        f"CREATE POLICY slow ON credit_periods AS RESTRICTIVE FOR SELECT TO flexcredits_api USING"
        f" (CASE WHEN organization_id = {slow} THEN pg_sleep(30) IS NOT NULL ELSE true END)"
    )
    dsn = database.roles["flexcredits_api"]
    async with (
        open_pool(dsn, application="shared", size=4, at_least=0, statement_timeout_s=5) as pool,
        open_api(pool) as api,
    ):
        asked = [asyncio.create_task(api.ask("/api/v1/overview", organization="org_slow")) for _ in range(20)]
        await eventually(lambda: sleep_in_postgres(books, 3), what="its reads are slow")
        for _ in range(10):
            async with asyncio.timeout(2):
                assert (await api.ask("/api/v1/overview")).status_code == 200
        assert not any(answer.done() for answer in asked)
        first, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        answer = first.pop().result()
        assert (answer.status_code, answer.json()["detail"]) == (503, "The database is busy. Try again in a moment.")
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def sleep_in_postgres(books: Books, many: int) -> bool:
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shared' AND wait_event = 'PgSleep'"
    return bool(await books.count(sleeping) == many)


async def test_no_row_of_another_organization_changes_an_answer(api: Api, books: Books) -> None:
    """Rows that cannot be evaluated: a zone that Postgres does not know, a contract from year 1, sums beyond bigint."""
    acme = await books.organization()
    await books.contract(acme, "c1", "2026-01-01", "2027-01-01")
    await books.period(acme, "c1", "p1", "2026-01-01", "2027-01-01", total=100)
    await books.use(acme, "api", "namespace", "search", "2026-11-01", 5)
    paths = [path for path in (*PATHS, *FILES) if "audit" not in path]  # the audit log records each export
    token = api.provider.token()  # one token, since the session's answer contains its expiry
    before = {path: await api.ask(path, token=token) for path in paths}
    broken = await books.organization("org_broken", "posix/Europe/Berlin")
    ancient = await books.organization("org_ancient", "Asia/Tokyo")
    await books.contract(ancient, "c1", "0001-01-01", "9999-12-31")
    await books.period(ancient, "c1", "p1", "0001-01-01", "9999-12-31", total=100)
    for number in (broken, ancient):
        for product in ("assistant", "agents"):
            kind = "tool"
            await books.use(number, product, kind, "search", "2026-11-01", 5_000_000_000_000_000_000)
    for path, answer in before.items():
        after = await api.ask(path, token=token)
        assert (after.status_code, after.content) == (answer.status_code, answer.content), path


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


async def test_the_service_answers_until_it_is_stopped(
    books: Books, database: Database, provider: IdentityProvider
) -> None:
    await books.use(await books.organization(), "api", "namespace", "search", "2026-11-01", 5)
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
                await locker.execute("LOCK TABLE usage_organization_daily IN ACCESS EXCLUSIVE MODE")
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
