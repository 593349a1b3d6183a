"""A database that is away, slow or busy: 503 in time, and other organizations keep their connections."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import asyncpg
import httpx
from query_api.access.presence import Presence
from query_api.access.state import AppState
from query_api.app import build_app
from query_api.auth.signing_keys import SigningKeys, fetch_from
from query_api.auth.tokens import Verifier
from query_api.db.session import LastAnswer, NoSession, find_problem, measure_statements
from query_api.health import Health
from query_api.http.middleware import RequestObserver
from runtime.http.server import Server, listen, serve
from runtime.postgres.line import share_of
from runtime.postgres.pool import Pool, open_pool
from runtime.postgres.time_zones import ZoneRules
from support.clients.query_paths import FILES, PATHS
from support.data.table_rows import NOW, TOPIC, TableRows
from support.infra.pgbouncer import pgbouncer
from support.infra.service_process import eventually, free_port
from support.infra.stack import Database
from support.services.query_api import AUDIENCE, ISSUER, IdentityProvider, OpenApi


async def test_postgres_away_is_503(open_api: OpenApi) -> None:
    dsn = f"postgresql://flexcredits_api:x@127.0.0.1:{free_port()}/nowhere"
    async with open_pool(dsn, application="test", size=1, at_least=0, statement_timeout_s=1) as pool:
        assert "ConnectionRefusedError" in str(await find_problem(pool))
        async with open_api(pool) as api:
            for path in (*PATHS, *FILES):
                answer = await api.ask(path)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
                assert answer.json()["type"] == "/problems/unavailable"
                assert "127.0.0.1" not in answer.text


async def test_a_read_that_takes_too_long_is_503_and_a_lost_connection_is_made_again(
    open_api: OpenApi, db: TableRows, database: Database
) -> None:
    await db.organization()
    dsn = database.roles["flexcredits_api"]
    async with (
        open_pool(dsn, application="slow", size=1, at_least=0, statement_timeout_s=2) as pool,
        open_api(pool) as api,
    ):
        locker = await asyncpg.connect(database.dsn, timeout=10)
        async with locker.transaction():
            await locker.execute(
                "LOCK TABLE usage_organization_daily, usage_organization_monthly IN ACCESS EXCLUSIVE MODE"
            )
            assert (await api.ask("/api/v1/overview")).status_code == 503
        assert (await api.ask("/api/v1/overview")).status_code == 200
        await locker.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'slow'")
        await locker.close()
        await eventually(lambda: pool.get_size() == 0, what="the loss is noticed")
        assert (await api.ask("/api/v1/overview")).status_code == 200


async def test_a_busy_pool_is_waited_for_and_not_called_away(
    open_api: OpenApi, db: TableRows, database: Database
) -> None:
    await db.organization()
    dsn = database.roles["flexcredits_api"]
    async with (
        open_pool(dsn, application="busy", size=1, at_least=0, statement_timeout_s=20) as pool,
        open_pool(dsn, application="probe", size=1, at_least=0, statement_timeout_s=20) as probe_pool,
        open_api(pool) as api,
        asyncio.TaskGroup() as group,
    ):
        locker = await asyncpg.connect(database.dsn, timeout=10)
        async with locker.transaction():
            await locker.execute("LOCK TABLE usage_organization_monthly IN ACCESS EXCLUSIVE MODE")
            asked = [group.create_task(api.ask("/api/v1/overview")) for _ in range(3)]
            await locker.execute("SELECT pg_sleep(3)")  # longer than an earlier limit of two seconds
            assert await find_problem(probe_pool) is None, "a busy database is no reason to refuse every request"
        await locker.close()
        assert [(await answer).status_code for answer in asked] == [200] * 3


async def test_one_organizations_slow_reads_leave_the_others_their_connections(
    open_api: OpenApi, db: TableRows, database: Database
) -> None:
    """org_slow sends requests all the time, and each of its reads takes seconds."""
    await slow_organization(db)
    dsn = database.roles["flexcredits_api"]
    async with (
        open_pool(dsn, application="shared", size=4, at_least=0, statement_timeout_s=5) as pool,
        open_api(pool) as api,
    ):
        asked = [asyncio.create_task(api.ask("/api/v1/overview", organization="org_slow")) for _ in range(20)]
        await eventually(lambda: sleep_in_postgres(db, 3), what="its reads are slow")
        for _ in range(10):
            async with asyncio.timeout(2):
                assert (await api.ask("/api/v1/overview")).status_code == 200
        assert not any(answer.done() for answer in asked)
        first, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        answer = first.pop().result()
        assert (answer.status_code, answer.json()["detail"]) == (503, "The database is busy. Try again in a moment.")
        assert (answer.json()["type"], answer.headers["retry-after"]) == ("/problems/busy", "2")
        at_once = await asyncio.gather(*(api.ask("/api/v1/overview") for _ in range(60)))
        assert {answer.status_code for answer in at_once} == {200}, "they wait for their own requests only"
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def test_more_requests_of_one_organization_than_the_server_has_connections_refuse_none_of_others(
    db: TableRows, database: Database, provider: IdentityProvider
) -> None:
    """All of them wait for slow reads, and the client uses a connection for each."""
    await slow_organization(db)
    stop, listener = asyncio.Event(), listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1/overview"
    async with open_pool(
        database.roles["flexcredits_api"], application="shared", size=4, at_least=0, statement_timeout_s=20
    ) as pool:
        verifier = Verifier(SigningKeys(fetch_from(provider.url)), ISSUER, AUDIENCE)
        state = AppState(pool, pool, verifier, True, TOPIC, lambda: NOW, pool, presence=Presence(40))
        app = RequestObserver(build_app(state))
        serving = asyncio.create_task(
            serve(Server(app, connections_max=40, head_wait_s=5, shutdown_s=1), listener, stop)
        )
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=60, trust_env=False) as client:

            async def ask(**claims: str) -> httpx.Response:
                return await client.get(url, headers={"Authorization": f"Bearer {provider.token(**claims)}"})

            asked = list[asyncio.Task[httpx.Response]]()
            for wave in (1, 2):
                asked += [asyncio.create_task(ask(organization="org_slow")) for _ in range(27)]
                await eventually(lambda: sleep_in_postgres(db, 3), what="its reads are slow")
                refused = 27 * wave - 12
                await eventually(lambda: sum(task.done() for task in asked) == refused, what="the others are refused")  # noqa: B023
            for _ in range(5):
                assert (await ask()).status_code == 200
            answer = next(task.result() for task in asked if task.done())
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/busy")
            assert (
                answer.json()["detail"]
                == "12 requests of your organization are in progress here. Try again in a moment."
            )
            assert (answer.headers["retry-after"], answer.headers["connection"]) == ("2", "close")
            await eventually(lambda: cancel_in_postgres(db, asked), what="its reads have ended")
        stop.set()
        await serving


async def test_one_organizations_slow_reads_in_all_processes_leave_others_a_session_of_the_pooler(
    open_api: OpenApi, db: TableRows, database: Database
) -> None:
    """Two processes. PgBouncer has one session more than both let an organization hold."""
    await slow_organization(db)
    async with AsyncExitStack() as here:
        pooler = here.enter_context(pgbouncer(database, default_pool_size=str(2 * share_of(4) + 1)))
        dsn = pooler(database.roles["flexcredits_api"])
        pools = [
            await here.enter_async_context(
                open_pool(dsn, application="shared", size=4, at_least=0, statement_timeout_s=20)
            )
            for _ in range(2)
        ]
        apis = [await here.enter_async_context(open_api(pool)) for pool in pools]
        asked = [
            asyncio.create_task(api.ask("/api/v1/overview", organization="org_slow")) for api in apis for _ in range(10)
        ]
        await eventually(lambda: sleep_in_postgres(db, 2 * share_of(4)), what="its reads are slow")
        for api in apis * 5:
            async with asyncio.timeout(2):
                assert (await api.ask("/api/v1/overview")).status_code == 200
        assert not any(answer.done() for answer in asked)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def slow_organization(db: TableRows) -> None:
    """Beside org_acme, create org_slow, whose reads take 30 s or as long as a statement may."""
    slow, _quick = await db.organization("org_slow"), await db.organization("org_acme")
    await db.contract(slow, "c1", "2026-01-01", "2027-01-01")
    await db.period(slow, "c1", "p1", "2026-01-01", "2027-01-01", total=100)
    await db.execute(
        f"CREATE POLICY slow ON credit_periods AS RESTRICTIVE FOR SELECT TO flexcredits_api USING"
        f" (CASE WHEN organization_id = {slow} THEN pg_sleep(30) IS NOT NULL ELSE true END)"
    )


async def sleep_in_postgres(db: TableRows, many: int, application: str = "shared") -> bool:
    sleeping = (
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}' AND wait_event = 'PgSleep'"
    )
    return bool(await db.count(sleeping) == many)


async def cancel_in_postgres(db: TableRows, asked: Sequence[asyncio.Task[httpx.Response]]) -> bool:
    """Cancel the reads that sleep. Whether all requests are answered."""
    await db.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    return all(task.done() for task in asked)


async def test_a_pooler_without_a_free_session_is_busy(open_api: OpenApi, db: TableRows, database: Database) -> None:
    """Another process holds both sessions. This one is ready as long as Postgres answers its other statements."""
    await db.organization()
    now = [0.0]
    answer = LastAnswer(lambda: now[0])
    async with AsyncExitStack() as here:
        pooler = here.enter_context(pgbouncer(database, default_pool_size="2", query_wait_timeout="1"))

        async def opened(name: str, size: int) -> Pool:
            dsn, noted = pooler(database.roles["flexcredits_api"]), measure_statements(name, answer, None)
            opening = open_pool(
                dsn, application=name, size=size, at_least=0, statement_timeout_s=20, on_statement=noted
            )
            return await here.enter_async_context(opening)

        own, others = await opened("own", 2), await opened("others", 2)
        health = Health(await opened("health", 1), answer, SigningKeys(bytes), ZoneRules("", [], lambda *_: 0))
        api = await here.enter_async_context(open_api(own))
        assert (await api.ask("/api/v1/overview")).status_code == 200
        tasks = [asyncio.create_task(health.watch())]
        await eventually(lambda: health.checks()["postgres"] is None, what="the first check")
        tasks += [asyncio.create_task(others.execute("SELECT pg_sleep(15)")) for _ in range(2)]
        await eventually(lambda: sleep_in_postgres(db, 2, "others"), what="the sessions are held")
        refused = await api.ask("/api/v1/overview")
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/busy")
        now[0] += 60
        await eventually(
            lambda: "query_wait_timeout" in str(health.checks()["postgres"]), what="a check without a session"
        )
        answer.note()
        assert health.checks()["postgres"] is None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_server_without_a_free_session_is_busy(database: Database) -> None:
    role = database.roles["flexcredits_api"]
    owner = await asyncpg.connect(database.dsn)
    await owner.execute("ALTER ROLE flexcredits_api CONNECTION LIMIT 0")
    try:
        async with open_pool(role, application="late", size=1, at_least=0, statement_timeout_s=1) as pool:
            assert isinstance(await find_problem(pool), NoSession)
    finally:
        await owner.execute("ALTER ROLE flexcredits_api CONNECTION LIMIT -1")
        await owner.close()
