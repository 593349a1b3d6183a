"""Notices -> usage.alerts.v1. At least once: a notice is marked when Kafka has confirmed it, and copies have its id."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidMessageError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from runtime.isolation import concerns_one
from runtime.postgres import Connection, Pool, timed_out

from alerter.db.channel_queries import Unpublished, claim_notices, mark_notices_published
from alerter.metrics import PUBLISHED
from alerter.queues.quarantine import Quarantine
from alerter.queues.rotation import Rotation

log = structlog.get_logger()

Claim = Callable[[Connection], Awaitable[Sequence[Unpublished]]]

AT_ONCE = 500
CONFIRM_WITHIN_S = 10
OF_THE_NOTICE = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidMessageError)
"""Kafka is there and does not take this notice."""


async def publish_notices(pool: Pool, producer: AIOKafkaProducer, topic: str, rotation: Rotation) -> int:
    """Publish what waits, by turns of organizations; returns how many. The rest waits while Kafka does not confirm: the timer
    comes again, and nothing else waits for it.

    When some notice cannot be published, each organization's are published in a transaction of their own.
    """
    claimed: set[int] = set()

    async def claim(connection: Connection) -> Sequence[Unpublished]:
        notices = await rotation.take(lambda after: claim_notices(connection, AT_ONCE, after))
        claimed.update(notice.organization_id for notice in notices)
        return notices

    try:
        return await publish_of(pool, producer, topic, claim) or 0
    except Exception as error:
        if not concerns_one(error) or not claimed:
            raise
    published, failures = 0, dict[int, Exception]()
    for organization_id in sorted(claimed):
        try:
            only = partial(claim_notices, limit=AT_ONCE, after=organization_id - 1, last=organization_id)
            confirmed = await publish_of(pool, producer, topic, only)
            if confirmed is None:
                break  # the next one would wait as long
            published += confirmed
        except Exception as error:
            if not concerns_one(error):
                raise
            failures[organization_id] = error
            if timed_out(error):
                break  # the others are published next time
    await Quarantine(pool).add("publish", failures)
    return published


async def publish_of(pool: Pool, producer: AIOKafkaProducer, topic: str, claim: Claim) -> int | None:
    """Publish the notices that `claim` takes in this transaction; returns how many, None while Kafka does not confirm."""
    async with pool.acquire() as connection, connection.transaction():
        notices = await claim(connection)
        if not notices:
            return 0
        try:
            async with asyncio.timeout(CONFIRM_WITHIN_S):
                sent = [
                    await producer.send(topic, notice.body.encode(), key=notice.organization.encode())
                    for notice in notices
                ]
                await asyncio.gather(*sent)
        except OF_THE_NOTICE:
            raise
        except (KafkaError, TimeoutError) as error:
            log.warning("notices wait for Kafka", notices=len(notices), reason=f"{type(error).__name__}: {error}")
            return None
        await mark_notices_published(connection, [notice.notice_id for notice in notices])
    PUBLISHED.inc(len(notices))
    return len(notices)
