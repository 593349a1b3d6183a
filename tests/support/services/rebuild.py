"""Logs for a rebuild, and the comparison with the rights of its role."""

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from aggregator.rebuild.swap import Comparison, compare
from aiokafka import AIOKafkaProducer
from runtime.kafka.clients import KafkaSettings
from support.data.random_log import random_log
from support.infra.service_process import eventually
from support.infra.stack import Database, Topics

TODAY = datetime.now(UTC).date()


SINCE = TODAY - timedelta(days=60)


async def send_log(producer: AIOKafkaProducer, topics: Topics, seed: int, *, pause_s: float = 0) -> int:
    """Send about 400 random records; returns how many."""
    log = random_log(random.Random(seed))
    for partition, records in log.items():
        for record in records:
            await producer.send(topics.usage_events, record.value, key=record.key, partition=partition)
            await asyncio.sleep(pause_s)
    await producer.flush()
    return sum(map(len, log.values()))


async def learn(producer: AIOKafkaProducer, topics: Topics, *events: dict[str, Any]) -> None:
    for event in events:
        await producer.send_and_wait(topics.catalog, json.dumps(event).encode(), partition=0)


async def applied(owner: asyncpg.Connection, topics: Topics) -> int:
    return int(
        await owner.fetchval(
            "SELECT coalesce(sum(next_offset), 0) FROM partition_progress WHERE topic = $1", topics.usage_events
        )
    )


async def until_applied(owner: asyncpg.Connection, topics: Topics, number: int) -> None:
    """Wait until the records are counted, and corrections that were held for their originals too."""

    async def done() -> bool:
        waiting = await owner.fetchval(
            "SELECT count(*) FROM usage_held h JOIN usage_ledger l ON (l.ledger_bucket, l.identity) = (h.corrects_bucket, h.corrects)"
            " WHERE h.waits_for = 'original' AND NOT l.held"
        )
        return await applied(owner, topics) == number and not waiting

    await eventually(done, what=f"{number} records applied")


async def recount(database: Database, topics: Topics, holder: Any, **scope: Any) -> Comparison:
    """Connection of the role that may only rebuild."""
    chosen = {"first": SINCE, "last": TODAY + timedelta(days=1), "organization": None} | scope
    return await compare(
        KafkaSettings(kafka_bootstrap=topics.bootstrap), database.roles["flexcredits_rebuild"], holder,
        topics.usage_events, chosen["first"], chosen["last"], chosen["organization"], lambda _: None,
    )  # fmt: skip
