"""Publishes alert events to usage.alerts.v1 at least once: Kafka confirms an event before it is marked, and copies keep
its id."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidMessageError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from runtime.isolation import concerns_one
from runtime.postgres.errors import timed_out
from runtime.postgres.pool import Connection, Pool

from alerter.db.channel_queries import Unpublished, claim_alert_events, mark_alert_events_published
from alerter.metrics import PUBLISHED
from alerter.queues.quarantine import Quarantine
from alerter.queues.rotation import Rotation

log = structlog.get_logger()

Claim = Callable[[Connection], Awaitable[Sequence[Unpublished]]]

AT_ONCE = 500
CONFIRM_WITHIN_S = 10
OF_THE_EVENT = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidMessageError)
"""Errors of Kafka that concern a single event: Kafka is available but refuses the event."""


async def publish_alert_events(pool: Pool, producer: AIOKafkaProducer, topic: str, rotation: Rotation) -> int:
    """Publish pending alert events, with organizations in turn; returns how many. If Kafka does not confirm them, they
    wait for the timer's next run, and nothing else is delayed.

    If an event cannot be published, each organization's events are published in a transaction of their own.
    """
    claimed: set[int] = set()

    async def claim(connection: Connection) -> Sequence[Unpublished]:
        events = await rotation.take(lambda after: claim_alert_events(connection, AT_ONCE, after))
        claimed.update(event.organization_id for event in events)
        return events

    try:
        return await publish_of(pool, producer, topic, claim) or 0
    except Exception as error:
        if not concerns_one(error) or not claimed:
            raise
    published, failures = 0, dict[int, Exception]()
    for organization_id in sorted(claimed):
        try:
            only = partial(claim_alert_events, limit=AT_ONCE, after=organization_id - 1, last=organization_id)
            confirmed = await publish_of(pool, producer, topic, only)
            if confirmed is None:
                break  # Kafka would not confirm the others in time either
            published += confirmed
        except Exception as error:
            if not concerns_one(error):
                raise
            failures[organization_id] = error
            if timed_out(error):
                break  # the next run publishes the others
    await Quarantine(pool).add("publish", failures)
    return published


async def publish_of(pool: Pool, producer: AIOKafkaProducer, topic: str, claim: Claim) -> int | None:
    """Publish the events that `claim` returns, in one transaction; returns how many, or None if Kafka does not confirm
    them."""
    async with pool.acquire() as connection, connection.transaction():
        events = await claim(connection)
        if not events:
            return 0
        try:
            async with asyncio.timeout(CONFIRM_WITHIN_S):
                sent = [
                    await producer.send(topic, event.body.encode(), key=event.organization.encode()) for event in events
                ]
                await asyncio.gather(*sent)
        except OF_THE_EVENT:
            raise
        except (KafkaError, TimeoutError) as error:
            log.warning(
                "alert events wait for Kafka", alert_events=len(events), reason=f"{type(error).__name__}: {error}"
            )
            return None
        await mark_alert_events_published(connection, [event.alert_event_id for event in events])
    PUBLISHED.inc(len(events))
    return len(events)
