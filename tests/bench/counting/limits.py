"""Measures what this machine can do at most in each part of the aggregator's work, and the aggregator's share of it."""

import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from processes import Servers, own_cpu
from runtime.kafka.clients import open_consumer
from servers import kafka_and_postgres
from support.infra.stack import Topics, copy_template, make_template, make_topics

from counting.aggregators import count
from counting.decoding import time_decoding
from counting.usage_log import PARTITIONS, fill_topics

FETCH_MAX = 10_000
COPY_AT_ONCE = 40_000
"""Rows of one COPY: about what a transaction of the aggregator copies into one day."""
DECODED = 200_000


@dataclass(frozen=True)
class Limit:
    """What one step reaches if nothing else runs. `cpu_s` is of the process that does the step."""

    name: str
    seconds: float
    cpu_s: float
    events: int

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds

    @property
    def us_per_event(self) -> float:
        return self.cpu_s / self.events * 1e6


async def bench_limits(events: int, runs: int) -> None:
    """Print the aggregator's speed, the limits beside it, and its share of each."""
    with kafka_and_postgres() as (bootstrap, server):
        servers = Servers.find(bootstrap, server)
        template, topics = await make_template(server), await make_topics(bootstrap)
        truth = await fill_topics(bootstrap, topics.usage_events, topics.catalog, events, 1)
        speeds, costs, limits = [], [], {}
        for run in range(runs):
            database = await copy_template(server, template)
            done = await count(database, topics, truth, servers)
            speeds.append(done.events_per_second)
            costs.append(sum(done.cost.us_per_event(events)))
            print(f"aggregator run {run + 1}: {done.describe()}; exact", flush=True)
            for limit in (await time_copy(database.dsn), *await time_fetch_and_decode(topics, events)):
                limits.setdefault(limit.name, []).append(limit)
        speed, cost = statistics.median(speeds), statistics.median(costs)
        floor = 0.0
        for name, measured in limits.items():
            reached = statistics.median(limit.events_per_second for limit in measured)
            us = statistics.median(limit.us_per_event for limit in measured)
            floor += us
            print(
                f"{name}: {reached:,.0f}/s, {us:.2f} us of CPU; the aggregator reaches {speed / reached:.2f} of it",
                flush=True,
            )
        print(
            f"aggregator {speed:,.0f}/s, {cost:.1f} us of CPU per event; the limits' sum is {floor:.1f} us, a share of {floor / cost:.2f}",
            flush=True,
        )


async def time_copy(dsn: str) -> Limit:
    """Copy the ledger's rows, sorted by identity in portions in the order of Kafka, into a table like a leaf of the ledger."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetchval("SELECT count(*) FROM usage_ledger")
        # Portions are written before the measurement; only reading them back is measured.
        await connection.execute("CREATE TABLE bare_leaf (LIKE usage_ledger INCLUDING ALL)")
        await connection.execute(
            f"CREATE TABLE numbered AS SELECT *, (row_number() OVER (ORDER BY kafka_offset) - 1) / {COPY_AT_ONCE} AS portion FROM usage_ledger"
        )
        columns = [
            row["attname"] for row in await connection.fetch(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'bare_leaf'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
            )
        ]  # fmt: skip
        portions = [await read_portion(connection, columns, number) for number in range(-(-rows // COPY_AT_ONCE))]
        await connection.execute("CHECKPOINT")
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        before, began = own_cpu(backend), time.monotonic()
        for portion in portions:
            await connection.copy_to_table("bare_leaf", columns=columns, source=stream(portion), format="binary")
        return Limit(
            "sorted binary COPY of the ledger's rows", time.monotonic() - began, own_cpu(backend) - before, rows
        )
    finally:
        await connection.execute("DROP TABLE IF EXISTS bare_leaf, numbered")
        await connection.close()


async def read_portion(connection: asyncpg.Connection, columns: list[str], number: int) -> bytes:
    parts: list[bytes] = []

    async def keep(part: bytes) -> None:
        parts.append(part)

    query = f"SELECT {', '.join(columns)} FROM numbered WHERE portion = {number} ORDER BY ledger_bucket, identity"
    await connection.copy_from_query(query, output=keep, format="binary")
    return b"".join(parts)


async def stream(portion: bytes) -> AsyncIterator[bytes]:
    yield portion


async def time_fetch_and_decode(topics: Topics, events: int) -> tuple[Limit, Limit]:
    """Fetch the whole topic without use of it; then decode the first records in memory."""
    partitions = [TopicPartition(topics.usage_events, number) for number in range(PARTITIONS)]
    kept: list[ConsumerRecord] = []
    async with open_consumer(topics.bootstrap, "limits") as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        before, began, fetched = time.process_time(), time.monotonic(), 0
        while fetched < events:
            for records in (await consumer.getmany(timeout_ms=1000, max_records=FETCH_MAX)).values():
                fetched += len(records)
                if len(kept) < DECODED:
                    kept += records
        fetch = Limit("fetch by aiokafka alone", time.monotonic() - began, time.process_time() - before, events)
    kept.sort(key=lambda record: (record.partition, record.offset))
    cpu_s = time_decoding(kept[:DECODED])
    return fetch, Limit("decoding alone", cpu_s, cpu_s, min(DECODED, len(kept)))
