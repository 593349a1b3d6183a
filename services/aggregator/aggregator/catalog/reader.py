"""The catalog topic, which every aggregator reads as a whole: applied in order, and held in memory."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, TopicPartition
from runtime.postgres.pool import Pool

from aggregator import metrics
from aggregator.catalog.events import apply_facts
from aggregator.db.catalog_cache import Catalog
from aggregator.db.progress import OffsetGap, load_progress
from aggregator.db.statements import SQL
from aggregator.topic_identity import RECREATED, TopicIdentity, find_passed


class CatalogReader:
    """The catalog topic up to its end, applied and taken over into memory."""

    def __init__(self, pool: Pool, consumer: AIOKafkaConsumer, topic: str, catalog: Catalog) -> None:
        self.catalog = catalog
        self.topic = topic
        self._pool = pool
        self.consumer = consumer
        self._partition = TopicPartition(topic, 0)
        self._topic_identity = TopicIdentity(pool, consumer, topic)
        self.caught_up = time.monotonic()  # when memory last held all facts, read by the readiness probe
        self._one_at_a_time = asyncio.Lock()  # a batch and the sweep behind it share consumer and memory

    async def start(self) -> None:
        """Take the topic's one partition by hand: every aggregator reads all facts.

        It stays paused but for reading facts. A broker answers a connection's requests in turn, so a fetch that waits
        for facts to come would hold up every question about offsets by half a second.

        Raises OffsetGap when Postgres has applied another log under this name.
        """
        self.consumer.assign([self._partition])
        self.consumer.pause(self._partition)
        position = (await load_progress(self._pool, self.topic, [0]))[0]
        self._check_end(await self.find_end(), position)
        await self._topic_identity.verify({self._partition: position}, self._holds_younger)
        await self.take_over()

    async def catch_up(self) -> bool:
        """Apply facts up to the end that the topic has now; True when the catalog in memory changed. Raises OffsetGap."""
        before = self.catalog.version
        end = await self.find_end()
        self._check_end(end, before)
        async with self._one_at_a_time:
            if self.catalog.version < end:
                await self._topic_identity.check(
                    [0]
                )  # before it is read: facts of another log would make that look right
                self.consumer.resume(self._partition)
                await self._read_up_to(end)
                self.consumer.pause(self._partition)
        self.caught_up = time.monotonic()
        metrics.CATALOG_OFFSET.set(self.catalog.version)
        return self.catalog.version != before

    async def _holds_younger(self, begin: int, end: int, received_ms: int) -> bool:
        self.consumer.seek(self._partition, begin)
        self.consumer.resume(self._partition)
        try:
            while await self.consumer.position(self._partition) < end:
                fetched = await self.consumer.getmany(self._partition, timeout_ms=1000, max_records=1000)
                for record in fetched.get(self._partition, ()):
                    if record.offset < end and record.timestamp > received_ms:
                        return True
        finally:
            self.consumer.pause(self._partition)
        return False

    async def _read_up_to(self, end: int) -> None:
        while self.catalog.version < end:
            begin = self.catalog.version
            self.consumer.seek(self._partition, begin)
            fetched = await self.consumer.getmany(self._partition, timeout_ms=1000, max_records=1000)
            records = fetched.get(self._partition, [])
            # The position, not the last record: what follows may be a marker of a transaction, which no fact comes after.
            position = await self.consumer.position(self._partition)
            if position > begin:
                if position - begin != len(records):
                    await find_passed(self.consumer, self._partition, begin, position, records)
                await apply_facts(self._pool, self.topic, records, (begin, position))
            await self._refresh()

    async def check(self) -> None:
        """Raises OffsetGap when the log begins with another record than before."""
        await self._topic_identity.check([0])

    def _check_end(self, end: int, position: int) -> None:
        # A shorter log would be waited for until it is as long, and what it holds until then never read.
        if end < position:
            raise OffsetGap(f"{self.topic}/0 ends at {end}, Postgres expects {position}. {RECREATED}")

    async def find_end(self) -> int:
        """Where the catalog's log ends now."""
        return (await self.end_offsets([self._partition]))[self._partition]

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Where the logs of any topic end now; quick, since nothing else waits on this connection."""
        ends: dict[TopicPartition, int] = await self.consumer.end_offsets(partitions)
        return ends

    async def take_over(self) -> None:
        """Read what was applied, by us or by another aggregator, since the version in memory."""
        async with self._one_at_a_time:
            await self._refresh()

    async def _refresh(self) -> None:
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            [progress] = await connection.fetch(SQL["select_progress"], self.topic)
            await self.catalog.refresh(connection, max(progress["next_offset"], self.catalog.version))
