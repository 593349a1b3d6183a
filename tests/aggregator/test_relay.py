"""The relay of dead letters, with the real Kafka and Postgres."""

import json
import os
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aggregator.outbox_relay import DEAD_LETTER_BYTES_MAX, HEADERS_BYTES_MAX, VALUE_BYTES_MAX, relay_dead_letters
from runtime.kafka.clients import open_producer
from runtime.postgres.pool import Pool, open_pool
from support.infra.mirroring import read_log
from support.infra.stack import Database, Topics

LARGE = 12
PORTION_MAX = 5


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    dsn = database.roles["flexcredits_aggregator"]
    async with open_pool(dsn, application="aggregator", size=2, statement_timeout_s=60) as opened:
        yield opened


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
        while portion := await relay_dead_letters(pool, producer, topics.dlq):
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
