"""Measures events per second that the aggregator counts, and the insert of the same ledger rows alone."""

import asyncio
import os
import random
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
from flexcredits_schemas.codec import decode, encode
from runtime.kafka.clients import open_producer

ORGANIZATIONS = 300
SERIES_PER_ORGANIZATION = 200
PARTITIONS = 4
COPIES = 0.005
LATE = 0.02
INSERT_AT_ONCE = 20_000
PREFIX = b'{"type":"flexcredits.usage.v1","specversion":"1.0","id":"%s","source":"/products/%s","subject":"%s","time":"%s","data":'


@dataclass(frozen=True)
class AggregatorResult:
    """Result of a run; seconds from the first applied record to the last."""

    events: int
    event_bytes: float
    seconds: float
    bare_insert_seconds: float

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds

    @property
    def share_of_bare_insert(self) -> float:
        return self.bare_insert_seconds / self.seconds


def build_series(number: int) -> tuple[str, bytes, bytes]:
    """One of the 60,000 series: product, Kafka key and the data before its credits."""
    organization, place = divmod(number, SERIES_PER_ORGANIZATION)
    product = ("assistant", "agents", "api")[place % 3]
    feature = f"feature-{place // 6}" if product != "agents" else f"model-{place % 12}"
    kind = "namespace" if product == "api" else ("tool", "model", "feature")[place % 7 % 3]
    surface = ("web", "slack", "chrome", "rest")[place % 4]
    agent = (
        f',"agent":{{"id":"agt_{place // 3}_of_org","name":"An agent of about usual length","kind":"saved"}}'
        if product == "agents"
        else ""
    )
    padding = "" if agent else "-with-a-name-of-usual-length-for-a-thing"
    data = f'{{"product":"{product}","feature_kind":"{kind}","feature":"{feature}{padding}","surface":"{surface}"{agent},"credits":"'
    key = f"org_{organization:03}|{product}|{f'agt_{place // 3}' if agent else feature}"
    return product, key.encode(), data.encode()


def build_events(events: int, seed: int, partitions: int = PARTITIONS) -> Iterator[tuple[int, bytes, bytes]]:
    """Partition, key and value: canonical bytes as ingest writes them; about 60,000 series, some copies and late events."""
    chance = random.Random(seed)
    series = [build_series(number) for number in range(ORGANIZATIONS * SERIES_PER_ORGANIZATION)]
    now = datetime.now(UTC)
    recent: list[tuple[int, bytes, bytes]] = []
    for _ in range(events):
        if recent and chance.random() < COPIES:
            yield chance.choice(recent)
            continue
        number = int(len(series) * chance.random() ** 2)  # few series have most of the events
        product, key, data = series[number]
        milliseconds = int(now.timestamp() * 1000) - chance.randrange(600_000)
        identity = str(
            UUID(
                int=(milliseconds << 80)
                | (7 << 76)
                | (chance.getrandbits(12) << 64)
                | (2 << 62)
                | chance.getrandbits(62)
            )
        )
        behind = chance.randrange(30 * 86_400) if chance.random() < LATE else chance.randrange(600)
        occurred = (
            (now - timedelta(seconds=behind, microseconds=chance.randrange(1_000_000)))
            .isoformat()
            .replace("+00:00", "Z")
        )
        organization = key.partition(b"|")[0]
        envelope = PREFIX % (identity.encode(), product.encode(), organization, occurred.encode())
        value = envelope + data + b'%d.%06d"}}' % (chance.randrange(50), chance.randrange(1, 1_000_000))
        item = (zlib.crc32(key) % partitions, key, value)
        if len(recent) < 10_000:
            recent.append(item)
        else:
            recent[chance.randrange(10_000)] = item
        yield item


async def fill_topics(
    bootstrap: str, usage_topic: str, catalog_topic: str, events: int, seed: int, partitions: int = PARTITIONS
) -> float:
    """Write the catalog events and the usage; returns the mean size of an event in bytes."""
    sizes, checked = 0, False
    headers = [("content-type", b"application/cloudevents+json")]
    async with open_producer(bootstrap, "load", compression_type="lz4") as producer:
        for number in range(ORGANIZATIONS):
            fact = (
                b'{"specversion":"1.0","id":"o%d","source":"/load","type":"flexcredits.organization.v1","subject":"org_%03d",'
                % (number, number)
            )
            await producer.send(
                catalog_topic,
                fact + b'"time":"2026-01-01T00:00:00Z","data":{"name":"Load","time_zone":"Europe/Berlin"}}',
            )
        open_batches = {at: producer.create_batch() for at in range(partitions)}
        for partition, key, value in build_events(events, seed, partitions):
            if not checked:
                checked = encode(decode(value)) is not None
            sizes += len(value)
            while open_batches[partition].append(key=key, value=value, timestamp=None, headers=headers) is None:
                await producer.send_batch(open_batches[partition], usage_topic, partition=partition)
                open_batches[partition] = producer.create_batch()
        for partition, batch in open_batches.items():
            await (await producer.send_batch(batch, usage_topic, partition=partition))
        await producer.flush()
    return sizes / events


async def run_aggregator(environment: dict[str, str], dsn: str, events: int, *, within_s: float = 600) -> float:
    """Start `python -m aggregator`, wait until all is applied, stop it; seconds between first and last commit."""
    owner = await asyncpg.connect(dsn)
    process = subprocess.Popen(  # noqa: ASYNC220 - starting it takes a millisecond
        [sys.executable, "-m", "aggregator"], env={**os.environ, "PROBE_PORT": "0", **environment}
    )
    began, deadline = 0.0, time.monotonic() + within_s
    try:
        while time.monotonic() < deadline and process.poll() is None:
            applied = await owner.fetchval(
                "SELECT sum(next_offset) FROM partition_progress WHERE topic = $1", environment["USAGE_EVENTS_TOPIC"]
            )
            positioned = await owner.fetchval(
                "SELECT count(*) FROM partition_progress WHERE topic = $1", environment["USAGE_EVENTS_TOPIC"]
            )
            if positioned and not began:
                began = time.monotonic()
            if applied == events:
                return time.monotonic() - began
            await asyncio.sleep(0.02)
    finally:
        process.terminate()
        process.wait(30)
        await owner.close()
    raise RuntimeError(f"not all events applied: aggregator exit code {process.returncode}")


async def time_bare_insert(dsn: str) -> float:
    """Seconds to insert the ledger's own rows, in Kafka order, into an empty table like it; no decoding, no rollups."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT ledger_bucket, identity, payload, organization_id, series_id, extract(epoch FROM occurred_at)::float8,"
            " credits, extract(epoch FROM received_at)::float8, kafka_partition, kafka_offset, held, rate_id, quantity"
            " FROM usage_ledger ORDER BY kafka_offset"
        )
        await connection.execute(
            "CREATE TABLE bare (LIKE usage_ledger INCLUDING ALL) PARTITION BY LIST (ledger_bucket)"
        )
        for bucket in {row["ledger_bucket"] for row in rows}:
            await connection.execute(
                f"CREATE TABLE bare_{bucket} PARTITION OF bare FOR VALUES IN ({bucket})".replace("_-", "_h")
            )
        chunks = [
            [list(column) for column in zip(*rows[start : start + INSERT_AT_ONCE], strict=True)]
            for start in range(0, len(rows), INSERT_AT_ONCE)
        ]
        statement = """INSERT INTO bare (ledger_bucket, identity, payload, organization_id, series_id, occurred_at, credits,
            received_at, kafka_partition, kafka_offset, held, rate_id, quantity)
            SELECT a, b, c, d, e, to_timestamp(f), g, to_timestamp(h), i, j, k, l, m FROM unnest($1::integer[], $2::uuid[],
            $3::uuid[], $4::integer[], $5::integer[], $6::float8[], $7::bigint[], $8::float8[], $9::integer[], $10::bigint[],
            $11::boolean[], $12::integer[], $13::bigint[]) AS u(a, b, c, d, e, f, g, h, i, j, k, l, m) ON CONFLICT DO NOTHING"""
        prepared = await connection.prepare(statement)
        began = time.monotonic()
        for chunk in chunks:
            await prepared.fetch(*chunk)
        return time.monotonic() - began
    finally:
        await connection.execute("DROP TABLE IF EXISTS bare")
        await connection.close()
