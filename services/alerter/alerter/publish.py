"""Notices -> usage.alerts.v1. At least once: a notice is marked when Kafka has confirmed it, and copies have its id."""

import asyncio

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from runtime.postgres import Pool

from alerter.channel_store import claim_notices, mark_notices_published
from alerter.metrics import PUBLISHED

log = structlog.get_logger()

AT_ONCE = 500
CONFIRM_WITHIN_S = 10


async def publish_notices(pool: Pool, producer: AIOKafkaProducer, topic: str) -> int:
    """Returns how many; 0 while Kafka does not confirm: the timer comes again, and nothing else waits for it."""
    async with pool.acquire() as connection, connection.transaction():
        notices = await claim_notices(connection, AT_ONCE)
        if not notices:
            return 0
        try:
            async with asyncio.timeout(CONFIRM_WITHIN_S):
                sent = [await producer.send(topic, body.encode(), key=name.encode()) for _, name, body in notices]
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError) as error:
            log.warning("notices wait for Kafka", notices=len(notices), reason=f"{type(error).__name__}: {error}")
            return 0
        await mark_notices_published(connection, [notice_id for notice_id, _, _ in notices])
    PUBLISHED.inc(len(notices))
    return len(notices)
