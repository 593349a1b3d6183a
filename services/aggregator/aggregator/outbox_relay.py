"""The relay: publishes outboxes in Postgres to topics, at least once. Rows stay in the outbox until Kafka has confirmed
them."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from runtime.kafka.clients import is_transient
from runtime.observability.tracing import TRACEPARENT, Tracing
from runtime.periodic import every
from runtime.postgres.pool import Connection, Pool

from aggregator.db.statements import SQL
from aggregator.metrics import RELAYED

RELAY_LOCK = 0x666C6502
TOTALS_MAX = 20_000
DEAD_LETTERS_MAX = 500
PORTION_BYTES_MAX = 4 * 1024 * 1024
"""Bytes of dead letters published before totals are checked again: Kafka confirms them well within CONFIRM_WITHIN_S."""
DEAD_LETTER_BYTES_MAX = 2 * 1024 * 1024
VALUE_BYTES_MAX = 1024 * 1024  # the limit of the usage topic; a compressed record may inflate to much more
HEADERS_BYTES_MAX = 512 * 1024  # the same amount is left for the headers that we add
RETRY_S = 1.0
CONFIRM_WITHIN_S = 10  # well below the statement timeout that a lock holder may block


class Topics(NamedTuple):
    """The topics that the outboxes are published to."""

    totals: str
    dead_letters: str


async def relay_totals(
    pool: Pool, producer: AIOKafkaProducer, topic: str, tracing: Tracing, take_causes: Callable[[], Sequence[str]]
) -> int:
    """Publish the totals of every organization in the outbox. Returns the number of messages. `take_causes` returns
    traceparents."""
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
        with tracing.span(f"send {topic}", "producer", take_causes(), messaging__system="kafka") as span:
            headers = [(TRACEPARENT, span.traceparent.encode())] if span.traceparent else []
            sent = []
            for (organization_id, organization), credits in levels.items():
                total = {"organization": organization, "version": versions[organization_id], "micro_credits": credits}
                value, key = json.dumps(total).encode(), organization.encode()
                sent.append(await producer.send(topic, value, key=key, headers=headers))
            await asyncio.wait_for(asyncio.gather(*sent), CONFIRM_WITHIN_S)
    RELAYED.labels(topic).inc(len(sent))
    return len(sent)


@dataclass
class SenderTurns:
    """Senders of dead letters take turns in alphabetical order. Each portion starts after the last sender that was
    served; if no sender is left there, it starts at the beginning."""

    after: str = ""
    """The last sender that was served."""

    async def claim(self, connection: Connection) -> list[Any]:
        """The next portion: records of the statement claim_dead_letters."""
        await connection.execute(SQL["plan_each_time"])
        limits = DEAD_LETTERS_MAX, PORTION_BYTES_MAX, VALUE_BYTES_MAX
        rows = await connection.fetch(SQL["claim_dead_letters"], *limits, self.after)
        if not rows and self.after:
            rows = await connection.fetch(SQL["claim_dead_letters"], *limits, "")
        self.after = max((row["sender"] for row in rows), default="")
        return rows


async def relay_dead_letters(pool: Pool, producer: AIOKafkaProducer, topic: str, turns: SenderTurns) -> int:
    """Publish a portion of the dead letters. Returns their number. The key is the origin of the record, by which
    readers deduplicate."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await turns.claim(connection)
        sent = []
        for row in rows:
            origin = f"{row['topic']}/{row['partition']}/{row['kafka_offset']}"
            fields = {
                "reason": row["reason"], "pointer": row["pointer"], "topic": row["topic"], "partition": row["partition"],
                "offset": row["kafka_offset"], "received_at": row["received"],
            }  # fmt: skip
            headers = [(name, str(value).encode()) for name, value in fields.items()]
            if row["value"] is not None and row["value_bytes"] > VALUE_BYTES_MAX:  # the table has the whole value
                headers.append(("dlq.truncated_from", str(row["value_bytes"]).encode()))
            own = [(name, bytes.fromhex(value or "")) for name, value in json.loads(row["headers"])]
            own_bytes = sum(len(name.encode()) + len(value) for name, value in own)
            if own_bytes > HEADERS_BYTES_MAX:
                headers.append(("dlq.headers_left_out", str(own_bytes).encode()))
            else:
                headers += own
            sent.append(await producer.send(topic, row["value"], key=origin.encode(), headers=headers))
        await asyncio.wait_for(asyncio.gather(*sent), CONFIRM_WITHIN_S)
        await connection.execute(SQL["mark_dead_letters_published"], [row["dead_letter_id"] for row in rows])
    RELAYED.labels(topic).inc(len(rows))
    return len(rows)


async def relay(
    pool: Pool,
    producer: AIOKafkaProducer,
    topics: Topics,
    interval_s: float,
    tracing: Tracing,
    take_causes: Callable[[], Sequence[str]],
) -> None:
    """Publish the outboxes every `interval_s` seconds until cancelled. Rows that Kafka does not confirm stay in the
    outbox.

    The interval is also the window in which several changes of an organization become one message.
    """

    turns = SenderTurns()

    async def publish() -> None:
        await relay_totals(pool, producer, topics.totals, tracing, take_causes)
        while await relay_dead_letters(pool, producer, topics.dead_letters, turns):
            await relay_totals(pool, producer, topics.totals, tracing, take_causes)

    await every(interval_s, publish, name="relay", transient=is_transient, retry_s=RETRY_S)
