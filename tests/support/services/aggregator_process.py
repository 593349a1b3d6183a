"""Usage for aggregators that run as processes, and their totals."""

import asyncio
import json
import random
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from support.data.factories import organization, rate, usage
from support.data.people import random_who
from support.infra.service_process import eventually
from support.infra.stack import Topics
from support.invariants.rollups import check_rollups
from support.services.aggregator import TOTALS


async def send(
    producer: AIOKafkaProducer, topic: str, events: list[dict[str, Any] | bytes], *, partition: int | None = None
) -> None:
    sent = []
    for number, item in enumerate(events):
        value = item if isinstance(item, bytes) else json.dumps(item).encode()
        at = partition if partition is not None else (number % 4 if topic.startswith("usage.events") else 0)
        sent.append(await producer.send(topic, value, key=b"org_acme|assistant|x", partition=at))
    await asyncio.gather(*sent)


async def send_catalog_events(producer: AIOKafkaProducer, topics: Topics) -> None:
    await send(producer, topics.catalog, [organization(), rate()], partition=0)


def many(number: int, seed: int = 1) -> tuple[list[dict[str, Any] | bytes], int]:
    """`number` events with 3 % copies, half of which say who used what, and the expected micro-credits."""
    chance = random.Random(seed)
    events: list[dict[str, Any] | bytes] = []
    total = 0
    for _ in range(number):
        if events and chance.random() < 0.03:
            events.append(chance.choice(events))
            continue
        amount = chance.randint(1, 9_999_999)
        who = random_who(chance) if chance.random() < 0.5 else {}
        events.append(usage(credits=f"{amount / 1_000_000:.6f}", feature=f"feature_{chance.randrange(50)}", **who))
        total += amount
    return events, total


async def applied(owner: asyncpg.Connection, topics: Topics) -> int:
    return int(
        await owner.fetchval(
            "SELECT coalesce(sum(next_offset), 0) FROM partition_progress WHERE topic = $1", topics.usage_events
        )
    )


async def check_totals(owner: asyncpg.Connection, expected: int) -> None:
    for table in TOTALS:
        assert await owner.fetchval(f"SELECT sum(credits)::bigint FROM {table}") == expected, table
    await check_rollups(owner)


async def until_applied(owner: asyncpg.Connection, topics: Topics, number: int, *, within_s: float = 60) -> None:
    async def all_applied() -> bool:
        return await applied(owner, topics) == number

    await eventually(all_applied, within_s=within_s, what=f"{number} records applied")
