"""The read replica: which reads it serves, and when it is left."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest
from flexcredits_schemas import NEWEST_MIGRATION
from query_api.db.replica import Lag, Replica
from query_api.db.session import Organization, read_as
from runtime.postgres.pooler import ThroughPooler
from support.data.table_rows import TableRows
from support.infra.service_process import ServiceProcess, eventually, free_port, running
from support.infra.stack import Database
from support.infra.standby import Standby, standby
from support.services.query_api import AUDIENCE, ISSUER, UNSUBSCRIBE_SECRET, IdentityProvider

LAG_MAX_S = 4


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_replica_may_lack_what_is_younger_than_the_limit() -> None:
    clock = Clock()
    lag = Lag(10, clock)
    lag.note(500)
    clock.now += 10
    lag.note(1000)
    assert (lag.allows(500), lag.seconds(500)) == (True, 0.0)
    clock.now += 9
    lag.note(2000)
    assert (lag.allows(500), lag.seconds(500), lag.seconds(1000), lag.seconds(2000)) == (True, 9.0, 0.0, 0.0)
    clock.now += 1
    lag.note(2500)
    assert (lag.allows(500), lag.allows(1000)) == (False, True)


def test_an_idle_primary_causes_no_lag() -> None:
    clock = Clock()
    lag = Lag(10, clock)
    for _ in range(100):
        lag.note(1000)
        clock.now += 2
    assert (lag.allows(1000), lag.seconds(1000)) == (True, 0.0)


def test_a_lag_is_measured_beyond_the_limit() -> None:
    clock = Clock()
    lag = Lag(10, clock)
    for position in range(1, 61):
        lag.note(position)
        clock.now += 2
    assert (lag.seconds(1), lag.allows(1)) == (118.0, False)


def test_positions_of_a_new_primary_replace_the_old_ones() -> None:
    """The replica became the primary before it had all: the end of the old primary's log is on no server."""
    clock = Clock()
    lag = Lag(10, clock)
    lag.note(2000)
    clock.now += 20
    lag.note(2000)
    assert not lag.allows(1500)
    lag.note(1600)
    assert (lag.allows(1500), lag.allows(1600)) == (False, True)


def test_a_process_that_has_just_started_uses_only_a_replica_that_has_all_of_the_past() -> None:
    """It does not know yet when the primary came to which position: the replica may be behind by hours."""
    clock = Clock()
    lag = Lag(10, clock)
    assert not lag.allows(5000), "the primary has not answered"
    for _ in range(5):
        lag.note(5000)
        assert (lag.allows(4999), lag.allows(5000)) == (False, True)
        clock.now += 2


class Server:
    """The part of asyncpg's pool and connection that a session uses."""

    def __init__(self, position: int = 1000) -> None:
        self.position = position
        self.failure: Exception | None = None
        self.is_closed = False
        self.begun = 0

    @asynccontextmanager
    async def acquire(self, **_options: object) -> AsyncIterator["Server"]:
        yield self

    @asynccontextmanager
    async def transaction(self, **_options: object) -> AsyncIterator[None]:
        self.begun += 1
        try:
            yield
        except ZeroDivisionError as error:  # asyncpg rolls back
            raise asyncpg.InterfaceError("connection is closed") from error
        if self.is_closed:
            raise asyncpg.InterfaceError("connection is closed")

    async def fetchrow(self, *_arguments: object) -> dict[str, object]:
        if self.failure:
            raise self.failure
        known = Organization(1, "UTC", True, False, "Acme", "en-US", "named", True, True, self.position)
        return known._asdict()

    async def fetchval(self, *_arguments: object) -> bool:
        """Whether it has the newest migration."""
        return True


async def replica_of(primary: Server, server: Server) -> Any:
    pools: Any = primary, server
    replica = Replica({pools[0]: pools[1]}, pools, Lag(10))
    await replica.check()
    return replica


async def test_a_file_that_the_client_left_ends_on_the_replica() -> None:
    primary, server = Server(), Server()
    replica = await replica_of(primary, server)
    begun = primary.begun
    async with replica.read_as(primary, "acme", "") as session:
        assert session.on_replica
        session.is_broken = server.is_closed = True  # as copy_lines does
    assert primary.begun == begun


@pytest.mark.parametrize("on_replica", [True, False])
async def test_the_error_of_a_block_that_broke_its_session_is_raised(on_replica: bool) -> None:
    primary, server = Server(), Server()
    replica = await replica_of(primary, server)
    pool: Any = primary

    async def fail() -> None:
        async with (replica.read_as if on_replica else read_as)(pool, "acme", "") as session:
            assert session.on_replica is on_replica
            session.is_broken = primary.is_closed = server.is_closed = True  # as copy_lines does
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


@pytest.mark.parametrize(
    "failure",
    [
        asyncpg.ConnectionDoesNotExistError("the server closed the connection"),
        asyncpg.UndefinedColumnError("the replica has not replayed a migration"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_a_replica_that_fails_after_BEGIN_is_left(failure: Exception) -> None:
    primary, server = Server(), Server()
    replica = await replica_of(primary, server)
    server.failure, server.is_closed = failure, True
    async with replica.read_as(primary, "acme", "") as session:
        assert not session.on_replica


@pytest.mark.parametrize(
    "failure",
    [
        asyncpg.InvalidPasswordError("password authentication failed"),
        asyncpg.UndefinedTableError("the replica has not replayed a migration"),
        ssl.SSLCertVerificationError("certificate has expired"),
        ThroughPooler("a pooler without transactions"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_no_failure_of_the_replica_ends_the_process(failure: Exception) -> None:
    primary, server = Server(), Server()
    server.failure = failure
    replica = await replica_of(primary, server)
    assert type(failure).__name__ in replica.problem
    async with replica.read_as(primary, "acme", "") as session:
        assert not session.on_replica
    server.failure = None
    await replica.check()
    assert replica.problem is None


async def test_a_request_that_no_server_can_answer_does_not_take_the_replica_from_others() -> None:
    primary, server = Server(), Server()
    replica = await replica_of(primary, server)
    server.failure = primary.failure = asyncpg.CharacterNotInRepertoireError("a name with a NUL")
    with pytest.raises(asyncpg.CharacterNotInRepertoireError):
        async with replica.read_as(primary, "acme\0", ""):
            pass
    assert replica.problem is None


class Api:
    def __init__(self, process: ServiceProcess, client: httpx.AsyncClient) -> None:
        self.process = process
        self._client = client

    async def get(self, path: str) -> Any:
        answer = await self._client.get(f"/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def complete_to(self) -> str | None:
        complete_to: str | None = (await self.get("freshness"))["complete_to"]
        return complete_to

    async def set_threshold(self, threshold: int) -> None:
        off = {"enabled": False, "addresses": []}
        changed = {
            "usage": {"thresholds": [threshold], "additional_recipients": off},
            "monthly_budget": {"enabled": False, "type": "recurring", "credits": None, "thresholds": [75], "additional_recipients": off},
        }  # fmt: skip
        version = (await self.get("alerts/settings"))["version"]
        answer = await self._client.put("/api/v1/alerts/settings", json=changed, headers={"If-Match": f'"{version}"'})
        assert answer.status_code == 200, answer.text

    def uses_replica(self) -> bool:
        return bool(self.process.readiness().get("replica", {}).get("used"))

    def reads(self, server: str) -> float:
        return self.process.metric(f'flexcredits_query_api_reads_total{{server="{server}"}}')


@asynccontextmanager
async def api_with(
    database: Database,
    replica: Standby,
    provider: IdentityProvider,
    lag_max_s: int = LAG_MAX_S,
    *,
    is_ready: bool = True,
) -> AsyncIterator[Api]:
    dsn, port = database.roles["flexcredits_api"], free_port()
    environment = {
        "POSTGRES_DSN": dsn, "POSTGRES_READ_DSN": replica(dsn), "READ_LAG_MAX_S": str(lag_max_s), "HTTP_PORT": str(port),
        "FLEXCREDITS_ENV": "development", "JWKS_URL": provider.url, "TOKEN_ISSUER": ISSUER, "TOKEN_AUDIENCE": AUDIENCE,
        "FLEXCREDITS_UNSUBSCRIBE_SECRET": UNSUBSCRIBE_SECRET,
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {provider.token()}"}
    with running("query_api", environment) as process:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
            if is_ready:
                await eventually(process.ready, what="readiness")
            yield Api(process, client)


@pytest.mark.slow
@pytest.mark.embedded("copies its server's data folder")
async def test_usage_is_read_from_a_replica_that_keeps_up_and_settings_from_the_primary(
    postgres_dsn: str, database: Database, provider: IdentityProvider
) -> None:
    owner = await asyncpg.connect(database.dsn)
    rows = TableRows(owner)
    await rows.organization()
    await rows.progress(0, datetime(2026, 11, 1, tzinfo=UTC))

    async def count_up_to(day: int) -> str:
        at = datetime(2026, 11, day, tzinfo=UTC)
        await owner.execute("UPDATE partition_progress SET caught_up_at = $1", at)
        return at.strftime("%Y-%m-%dT00:00:00Z")

    with standby(postgres_dsn) as replica:
        follower = await asyncpg.connect(replica(database.dsn))
        async with api_with(database, replica, provider) as api:

            async def shows(complete_to: str) -> bool:
                return await api.complete_to() == complete_to

            await eventually(api.uses_replica, what="the replica is used")
            second = await count_up_to(2)
            await eventually(lambda: shows(second), what="the replica follows")
            assert api.reads("replica") > 0

            await follower.execute("SELECT pg_wal_replay_pause()")
            third = await count_up_to(3)
            for threshold in (60, 61):
                await api.set_threshold(threshold)
                assert (await api.get("alerts/settings"))["usage"]["thresholds"] == [threshold], "its own change"
            assert await api.complete_to() == second, "what the replica has, not what the primary has"
            await api.get("overview")
            assert api.process.metric("flexcredits_query_api_replica_lag_seconds") < LAG_MAX_S

            await eventually(lambda: shows(third), within_s=20, what="the primary is used instead")
            readiness = api.process.readiness()
            assert (readiness["ready"], readiness["replica"]["used"]) == (True, False)
            assert "behind" in readiness["replica"]["problem"]
            assert api.process.metric("flexcredits_query_api_replica_lag_seconds") >= LAG_MAX_S

            await follower.execute("SELECT pg_wal_replay_resume()")
            await eventually(api.uses_replica, what="the replica is used again")
            before = api.reads("replica")
            assert await api.complete_to() == third
            assert api.reads("replica") == before + 1

            await follower.close()
            await asyncio.to_thread(replica.stop)
            before = api.reads("primary")
            assert await api.complete_to() == third, "no request fails while the replica is away"
            assert api.reads("primary") == before + 1
            await eventually(lambda: not api.uses_replica(), what="readiness says it")
            assert api.process.ready()
    await owner.close()


@pytest.mark.slow
@pytest.mark.embedded("copies its server's data folder")
async def test_a_replica_that_lacks_the_newest_migration_is_not_used(
    postgres_dsn: str, database: Database, provider: IdentityProvider
) -> None:
    """The service started before the migrations, and the replica is behind by less than the limit."""
    owner = await asyncpg.connect(database.dsn)
    await TableRows(owner).organization()
    applied = await owner.fetchrow("DELETE FROM schema_migrations WHERE name = $1 RETURNING *", NEWEST_MIGRATION)
    with standby(postgres_dsn) as replica:
        follower = await asyncpg.connect(replica(database.dsn))
        async with api_with(database, replica, provider, lag_max_s=600, is_ready=False) as api:

            def problem() -> str:
                return str(api.process.readiness().get("replica", {}).get("problem"))

            lacking = f"the database lacks the migration {NEWEST_MIGRATION}"
            await eventually(lambda: lacking in problem(), what="the primary was checked")
            assert not api.process.ready()
            await follower.execute("SELECT pg_wal_replay_pause()")
            await owner.execute("INSERT INTO schema_migrations VALUES ($1, $2, $3)", *applied)
            await eventually(api.process.ready, what="readiness")
            await api.get("overview")
            await eventually(lambda: "behind" in problem(), what="the replica was checked")
            await api.get("overview")
            assert (api.reads("replica"), api.reads("primary")) == (0, 2)
            await follower.execute("SELECT pg_wal_replay_resume()")
            await eventually(api.uses_replica, what="the replica has the migration")
            await api.get("overview")
            assert api.reads("replica") == 1
        await follower.close()
    await owner.close()
