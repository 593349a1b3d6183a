"""Keys in Postgres and in the cache: revoked within seconds, valid during an outage of Postgres, with bounded memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from flexcredits_cli.stack.api_keys import STORE, create_key
from ingest.db.key_store import KeyStore, KeysUnavailable
from ingest.domain.keys import is_valid, parse_key
from ingest.domain.mapped import Mapped
from runtime.postgres.pool import open_pool
from support.data.factories import usage
from support.data.mappings import document
from support.infra.service_process import eventually
from support.infra.stack import Database, Topics
from support.services.ingest import TcpProxy, running_here

ENTRIES_MAX = 50


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def proxy(database: Database) -> AsyncIterator[TcpProxy]:
    proxy = TcpProxy(database.dsn)
    await proxy.restore()
    yield proxy
    await proxy.cut()


def through(proxy: TcpProxy, database: Database) -> str:
    parts = urlsplit(database.roles["flexcredits_ingest"])
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"))


@pytest.fixture
async def keys(database: Database, proxy: TcpProxy, clock: Clock) -> AsyncIterator[KeyStore]:
    async with open_pool(
        through(proxy, database), application="test", size=3, at_least=0, statement_timeout_s=2
    ) as pool:
        yield KeyStore(pool, fresh_s=5, stale_s=300, entries_max=ENTRIES_MAX, clock=clock)


def key_id_of(key: str) -> str:
    parsed = parse_key(key)
    assert parsed is not None
    return parsed[0]


async def execute(database: Database, statement: str, *arguments: object) -> None:
    connection = await asyncpg.connect(database.dsn, timeout=10)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()


REVOKE = "UPDATE api_keys SET revoked_at = now() WHERE key_id = $1"


async def test_only_a_hash_is_stored(database: Database, key: str) -> None:
    connection = await asyncpg.connect(database.dsn, timeout=10)
    try:
        row = await connection.fetchrow("SELECT api_keys::text AS text, secret_sha256 FROM api_keys")
    finally:
        await connection.close()
    parsed = parse_key(key)
    assert parsed
    assert row is not None
    assert parsed[1] not in row["text"]
    assert row["secret_sha256"] == sha256(parsed[1].encode()).digest()


async def test_revocation_takes_effect_after_the_fresh_time(
    database: Database, keys: KeyStore, clock: Clock, key: str
) -> None:
    key_id = key_id_of(key)
    assert (await keys.find(key_id)) is not None
    await execute(database, REVOKE, key_id)
    clock.now += 4.9
    stored = await keys.find(key_id)
    assert stored
    assert stored.revoked_at is None
    clock.now += 0.2
    stored = await keys.find(key_id)
    assert stored
    assert stored.revoked_at is not None


async def test_new_key_is_found_although_it_was_unknown_before(
    database: Database, keys: KeyStore, clock: Clock, key: str
) -> None:
    key_id = key_id_of(key)
    await execute(database, "UPDATE api_keys SET key_id = 'x'")
    assert await keys.find(key_id) is None
    await execute(database, "UPDATE api_keys SET key_id = $1", key_id)
    assert await keys.find(key_id) is None
    clock.now += 5.1
    assert await keys.find(key_id) is not None


async def test_known_key_lives_on_without_postgres_for_a_while(
    database: Database, proxy: TcpProxy, keys: KeyStore, clock: Clock, key: str
) -> None:
    key_id = key_id_of(key)
    await keys.find(key_id)
    await proxy.cut()
    for _ in range(3):
        clock.now += 99
        assert await keys.find(key_id) is not None
    with pytest.raises(KeysUnavailable):
        await keys.find("never-asked-for")
    clock.now += 99
    with pytest.raises(KeysUnavailable):
        await keys.find(key_id)
    await proxy.restore()
    assert await keys.find(key_id) is not None


async def test_invented_ids_push_no_real_key_out(keys: KeyStore, proxy: TcpProxy, clock: Clock, key: str) -> None:
    await keys.find(key_id_of(key))
    for number in range(2 * ENTRIES_MAX):
        assert await keys.find(f"invented-{number}") is None
    clock.now += 10
    await proxy.cut()
    assert await keys.find(key_id_of(key)) is not None
    clock.now -= 10
    assert await keys.find(f"invented-{2 * ENTRIES_MAX - 1}") is None
    with pytest.raises(KeysUnavailable):
        await keys.find("invented-0")  # evicted long ago


async def test_not_ready_before_the_first_answer(keys: KeyStore) -> None:
    assert keys.why_not_ready()
    watching = asyncio.create_task(keys.watch())
    await eventually(lambda: keys.why_not_ready() is None, what="readiness")
    watching.cancel()


async def test_expired_key_is_wrong_at_once(database: Database, keys: KeyStore, key: str) -> None:
    parsed = parse_key(key)
    assert parsed
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    await execute(database, "UPDATE api_keys SET expires_at = $1", expires_at)
    stored = await keys.find(parsed[0])
    assert is_valid(stored, parsed[1], expires_at - timedelta(seconds=1))
    assert not is_valid(stored, parsed[1], expires_at)


async def test_two_keys_live_during_a_rotation(database: Database, topics: Topics, key: str) -> None:
    async with running_here(database, topics, key, key_cache_s=0.2) as ingest:
        second = await create_key(database.dsn, "org_acme", "assistant")
        for live in (key, second):
            assert (await ingest.post(usage(), key=live)).status_code == 202
        await execute(database, REVOKE, key_id_of(key))

        async def is_refused() -> bool:
            return (await ingest.post(usage())).status_code == 401

        await eventually(is_refused, within_s=5)
        assert (await ingest.post(usage(), key=second)).status_code == 202
        wrong = second[:-50] + ("A" if second[-50] != "A" else "B") + second[-49:]
        refusals = [await ingest.post(usage(), key=bad) for bad in (key, wrong, "fc_local_x_y_z", "")]
        assert {answer.status_code for answer in refusals} == {401}
        assert len({answer.text for answer in refusals}) == 1


async def test_service_outlives_postgres(database: Database, topics: Topics, proxy: TcpProxy, key: str) -> None:
    other = await create_key(database.dsn, "*", "*")
    await proxy.cut()
    async with running_here(database, topics, key, wait=False, dsn=through(proxy, database), key_cache_s=0.1) as ingest:
        answer = await ingest.post(usage())
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["outcome"] == "not_accepted"
        assert (await ingest.readiness())[0] == 503
        await proxy.restore()
        await eventually(ingest.is_ready, what="readiness")
        assert (await ingest.post(usage())).status_code == 202
        await proxy.cut()
        assert (await ingest.post(usage())).status_code == 202
        assert (await ingest.post(usage(), key=other)).status_code == 503
        assert await ingest.is_ready()


async def test_a_mapping_applies_after_the_fresh_time_and_is_compiled_once(
    database: Database, keys: KeyStore, clock: Clock, key: str
) -> None:
    async def mapped() -> Mapped | None:
        clock.now += 5.1
        found = await keys.find(key_id_of(key))
        assert found
        return found.mapped

    assert await mapped() is None
    await execute(database, STORE, key_id_of(key), json.dumps(document()), "test")
    first = await mapped()
    assert first
    assert first.mapping
    assert first.mapping.organization == "org_acme"
    assert await mapped() is first
    await execute(database, STORE, key_id_of(key), json.dumps(document(organization=None)), "test")
    second = await mapped()
    assert second
    assert (second.mapping, second.problem.partition(":")[0]) == (None, "the key's mapping cannot be used")
    await execute(database, "DELETE FROM api_key_mappings")
    assert await mapped() is None


async def test_the_query_api_maps_only_keys_of_exactly_its_organization(database: Database) -> None:
    own, other = await create_key(database.dsn, "org_acme", "*"), await create_key(database.dsn, "org_b", "*")
    of_all = await create_key(database.dsn, "*", "*")
    connection = await asyncpg.connect(database.roles["flexcredits_api"], timeout=10)
    try:
        assert await connection.fetch("SELECT key_id FROM api_keys") == []
        await connection.execute("SELECT set_config('app.organization', 'org_acme', false)")
        assert [row["key_id"] for row in await connection.fetch("SELECT key_id FROM api_keys")] == [key_id_of(own)]
        for key in (other, of_all):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(STORE, key_id_of(key), "{}", "test")
        await connection.execute(STORE, key_id_of(own), json.dumps(document()), "test")
        await execute(database, STORE, key_id_of(other), json.dumps(document()), "test")
        assert [row["key_id"] for row in await connection.fetch("SELECT key_id FROM api_key_mappings")] == [
            key_id_of(own)
        ]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT secret_sha256 FROM api_keys")
        assert await connection.execute("DELETE FROM api_key_mappings") == "DELETE 1"
    finally:
        await connection.close()
