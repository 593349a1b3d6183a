"""Maintains the watermark, also while no events arrive."""

import asyncio
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer
from runtime.postgres.pool import Pool

from aggregator import metrics
from aggregator.catalog.reader import CatalogReader
from aggregator.consumer.stuck_detector import StuckDetector
from aggregator.db.progress import OffsetGap, load_progress, mark_caught_up
from aggregator.measures import measure_watermark
from aggregator.topic_identity import RECREATED, TopicIdentity

MARK_WITHIN_S = 2.0


class Watermark:
    """Compares positions in Postgres with the ends of the logs, writes the watermark, and passes both to the
    detector."""

    def __init__(
        self, pool: Pool, consumer: AIOKafkaConsumer, ends: AIOKafkaConsumer, topic: str, catalog_reader: CatalogReader,
        topic_identity: TopicIdentity, detector: StuckDetector,
    ) -> None:  # fmt: skip
        self._pool = pool
        self._consumer = consumer
        self._ends = ends
        self._topic = topic
        self._catalog_reader = catalog_reader
        self._topic_identity = topic_identity
        self._detector = detector

    async def advance(self) -> None:
        """Check once. Raises Stalled, and OffsetGap when a log is not the one that was counted."""
        seen = datetime.now(UTC)
        owned = [at for at in self._consumer.assignment() if at.topic == self._topic]
        try:
            # Read positions before ends: records that are counted in between must not make the log appear too short.
            positions = await load_progress(self._pool, self._topic, [at.partition for at in owned])
            # Records of an open transaction cannot be counted yet, and those after it are not complete.
            heads = await self._ends.end_offsets(owned) if owned else {}
            ends = await self._catalog_reader.end_offsets(owned) if owned else {}
            await self._topic_identity.check(positions)
            await self._catalog_reader.check()
        except Exception:
            self._detector.restart()  # no consumer progresses while Kafka or Postgres is unavailable
            raise
        for at, end in heads.items():
            if end < positions[at.partition]:
                raise OffsetGap(
                    f"{at.topic}/{at.partition} ends at {end}, Postgres expects {positions[at.partition]}. {RECREATED}"
                )
        self._detector.check(ends, positions)
        metrics.LAG.set(sum(end - positions[at.partition] for at, end in heads.items()))
        # No batch locks these rows. A lock of another session must not prevent the next check.
        async with asyncio.timeout(MARK_WITHIN_S):
            await mark_caught_up(self._pool, self._topic, {at.partition: end for at, end in heads.items()}, seen)
            await measure_watermark(self._pool, self._topic)
