"""The relay: outboxes in Postgres -> topics. At least once; what it takes comes back unless Kafka has confirmed it."""

import asyncio
import json
from collections import defaultdict

from aiokafka import AIOKafkaProducer
from runtime.postgres import Pool

from aggregator.catalog import SQL
from aggregator.metrics import RELAYED

RELAY_LOCK = 0x666C6502
TOTALS_MAX = 20_000
DEAD_LETTERS_MAX = 500
CONFIRM_WITHIN_S = 10  # well below the statement timeout that a lock holder may block


async def relay_totals(pool: Pool, producer: AIOKafkaProducer, topic: str) -> int:
    """Publish the level of every organization in the outbox; returns how many messages."""
    async with pool.acquire() as connection, connection.transaction():
        if not await connection.fetchval(SQL["try_relay_lock"], RELAY_LOCK):
            return 0
        versions: dict[int, int] = defaultdict(int)
        for row in await connection.fetch(SQL["claim_totals"], TOTALS_MAX):
            versions[row["organization_id"]] = max(versions[row["organization_id"]], row["totals_id"])
        if not versions:
            return 0
        levels: dict[tuple[int, str], dict[str, str]] = defaultdict(dict)
        for row in await connection.fetch(SQL["select_totals"], list(versions)):
            levels[row["organization_id"], row["organization"]][row["product"]] = str(row["credits"])
        sent = []
        for (organization_id, organization), credits in levels.items():
            total = {"organization": organization, "version": versions[organization_id], "micro_credits": credits}
            sent.append(await producer.send(topic, json.dumps(total).encode(), key=organization.encode()))
        await asyncio.wait_for(asyncio.gather(*sent), CONFIRM_WITHIN_S)
    RELAYED.labels(topic).inc(len(sent))
    return len(sent)


async def relay_dead_letters(pool: Pool, producer: AIOKafkaProducer, topic: str) -> int:
    """Publish dead letters, keyed by where they came from, after which readers deduplicate."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(SQL["claim_dead_letters"], DEAD_LETTERS_MAX)
        sent = []
        for row in rows:
            origin = f"{row['topic']}/{row['partition']}/{row['kafka_offset']}"
            facts = {
                "reason": row["reason"], "pointer": row["pointer"], "topic": row["topic"], "partition": row["partition"],
                "offset": row["kafka_offset"], "received_at": row["received"],
            }  # fmt: skip
            headers = [(name, str(value).encode()) for name, value in facts.items()]
            headers += [(name, bytes.fromhex(value or "")) for name, value in json.loads(row["headers"])]
            sent.append(await producer.send(topic, row["value"], key=origin.encode(), headers=headers))
        await asyncio.wait_for(asyncio.gather(*sent), CONFIRM_WITHIN_S)
        await connection.execute(SQL["mark_dead_letters_published"], [row["dead_letter_id"] for row in rows])
    RELAYED.labels(topic).inc(len(rows))
    return len(rows)


async def relay(
    pool: Pool, producer: AIOKafkaProducer, totals_topic: str, dead_letter_topic: str, interval_s: float
) -> None:
    """Publish what appears, every `interval_s` seconds, for ever."""
    while True:
        published = await relay_totals(pool, producer, totals_topic)
        published += await relay_dead_letters(pool, producer, dead_letter_topic)
        if not published:
            await asyncio.sleep(interval_s)
