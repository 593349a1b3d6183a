"""The relay of dead letters, with the real Kafka and Postgres."""

import json
import os
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aggregator.db.statements import SQL
from aggregator.outbox_relay import (
    DEAD_LETTER_BYTES_MAX,
    DEAD_LETTERS_MAX,
    HEADERS_BYTES_MAX,
    VALUE_BYTES_MAX,
    SenderTurns,
    relay_dead_letters,
)
from runtime.kafka.clients import open_producer
from runtime.postgres.pool import Connection, Pool, open_pool
from support.infra.mirroring import read_log
from support.infra.stack import Database, Topics

LARGE = 12
PORTION_MAX = 5


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    dsn = database.roles["flexcredits_aggregator"]
    async with open_pool(dsn, application="aggregator", size=2, statement_timeout_s=60) as opened:
        yield opened


@pytest.fixture
async def owner(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


async def add_dead_letter(
    owner: "asyncpg.Connection[asyncpg.Record]", offset: int, value: bytes | None, headers: int = 0
) -> None:
    """With so many bytes of headers."""
    own = json.dumps([["x", "00" * headers]] if headers else [])
    await owner.execute(
        "INSERT INTO dead_letter_outbox (topic, partition, kafka_offset, value, headers, reason, pointer, received_at)"
        " VALUES ('usage.events.v1', 0, $1, $2, $3, 'no', '', now())",
        offset, value, own,
    )  # fmt: skip


async def test_large_dead_letters_go_in_portions_and_none_stops_those_behind_it(
    database: Database, pool: Pool, topics: Topics
) -> None:
    owner = await asyncpg.connect(database.dsn)
    try:
        for offset in range(LARGE):
            await add_dead_letter(owner, offset, os.urandom(VALUE_BYTES_MAX + offset))
        await add_dead_letter(owner, LARGE, os.urandom(VALUE_BYTES_MAX), headers=3 * HEADERS_BYTES_MAX)
        await add_dead_letter(owner, LARGE + 1, b"small", headers=1)
        await add_dead_letter(owner, LARGE + 2, None)
    finally:
        await owner.close()
    portions = []
    async with open_producer(topics.bootstrap, "test", max_request_size=DEAD_LETTER_BYTES_MAX) as producer:
        while portion := await relay_dead_letters(pool, producer, topics.dlq, SenderTurns()):
            portions.append(portion)
    assert sum(portions) == LARGE + 3
    assert max(portions) <= PORTION_MAX
    letters = {}
    for record in await read_log(topics.bootstrap, topics.dlq, LARGE + 3):
        headers = {name: value.decode() for name, value in record.headers}
        assert len(record.value or b"") <= VALUE_BYTES_MAX
        letters[int(headers["offset"])] = (record.value, headers)
    assert [letters[offset][1].get("dlq.truncated_from") for offset in (0, 1)] == [None, str(VALUE_BYTES_MAX + 1)]
    assert letters[LARGE][1]["dlq.headers_left_out"] == str(3 * HEADERS_BYTES_MAX + 1)
    assert letters[LARGE + 1][0] == b"small"
    assert letters[LARGE + 1][1]["x"] == "\0"
    assert letters[LARGE + 2][0] is None


FLOOD = 20_000
BLOCKS_MAX = 150
"""Limit of 8 KiB blocks that a claim of one dead letter may read or write; the backlog has more."""


async def flood(
    owner: "asyncpg.Connection[asyncpg.Record]", organization: str | None, many: int, size: int = 10
) -> None:
    await owner.execute(
        "INSERT INTO dead_letter_outbox (topic, partition, kafka_offset, value, headers, reason, pointer, received_at,"
        " organization, identity) SELECT 'usage.events.v1', 0, n + (SELECT count(*) FROM dead_letter_outbox),"
        " convert_to(repeat('x', $3), 'UTF8'), '[]', 'no', '', now(), $1,"
        " CASE WHEN $1::text IS NOT NULL THEN gen_random_uuid() END FROM generate_series(1, $2::integer) n",
        organization, many, size,
    )  # fmt: skip


async def claim(pool: Pool, turns: SenderTurns) -> list[str]:
    """Senders of the next portion. It counts as published."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await turns.claim(connection)
        await connection.execute(SQL["mark_dead_letters_published"], [row["dead_letter_id"] for row in rows])
    return [row["sender"] for row in rows]


@pytest.mark.parametrize("sender", ["org_b", None, "o" * 20_000])
async def test_an_organization_with_many_dead_letters_delays_no_other(
    owner: "asyncpg.Connection[asyncpg.Record]", pool: Pool, sender: str | None
) -> None:
    """One with any name, or many records that name none."""
    await flood(owner, sender, FLOOD)
    for other in ("org_a", "org_c", "org_d"):
        await flood(owner, other, 3)
    served = Counter(await claim(pool, SenderTurns()))
    assert [served[f"/{other}"] for other in ("org_a", "org_c", "org_d")] == [3, 3, 3]
    assert sum(served.values()) <= DEAD_LETTERS_MAX


async def test_large_dead_letters_of_many_leave_each_its_turn(
    owner: "asyncpg.Connection[asyncpg.Record]", pool: Pool
) -> None:
    """A portion has room for fewer dead letters than there are senders."""
    names = [f"org_{at:02}" for at in range(20)]
    for name in names:
        await flood(owner, name, 2, VALUE_BYTES_MAX)
    turns, order = SenderTurns(), list[str]()
    while portion := await claim(pool, turns):
        assert len(portion) <= PORTION_MAX
        order += portion
    assert sorted(order[:20]) == sorted(order[20:]) == [f"/{name}" for name in names]


@pytest.mark.parametrize("analyzed", ["never", "before", "after"])
async def test_a_claim_of_dead_letters_reads_little_of_a_flood_whatever_the_planner_knows(
    owner: "asyncpg.Connection[asyncpg.Record]", pool: Pool, analyzed: str
) -> None:
    if analyzed == "before":
        await flood(owner, "org_b", 3)
        await owner.execute("VACUUM ANALYZE dead_letter_outbox")
    async with pool.acquire() as connection:
        await connection.execute(f"PREPARE claim AS {SQL['claim_dead_letters']}")
        for _ in range(8):  # from the sixth on Postgres would keep a plan
            assert await count_blocks(connection) < BLOCKS_MAX
        await flood(owner, "org_b", FLOOD)
        await flood(owner, "org_c", 1)
        if analyzed == "after":
            await owner.execute("VACUUM ANALYZE dead_letter_outbox")
        assert await count_blocks(connection) < BLOCKS_MAX


async def count_blocks(connection: Connection) -> int:
    explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE claim(1, 1000000, 1000000, '')"
    async with connection.transaction():
        await connection.execute(SQL["plan_each_time"])
        [plan] = json.loads(await connection.fetchval(explain))
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])
