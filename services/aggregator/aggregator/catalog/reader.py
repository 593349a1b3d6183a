"""Reads the whole catalog topic in each aggregator, applies it in order, and keeps the catalog in memory."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, TopicPartition
from runtime.postgres.pool import Pool

from aggregator import metrics
from aggregator.catalog.events import apply_catalog_events
from aggregator.db.catalog_cache import Catalog
from aggregator.db.progress import OffsetGap, load_progress
from aggregator.db.statements import SQL
from aggregator.domain.record import Record
from aggregator.topic_identity import RECREATED, TopicIdentity, find_passed

RECORDS_MAX = 1_000
"""Catalog events in a transaction."""
BYTES_MAX = 4 * 2**20
"""Bytes of its records, after which no more are fetched for it: a contract may have 256 KiB."""
FETCH_AT_ONCE = 100


class CatalogReader:
    """Applies the catalog topic up to its end and loads the result into memory."""

    def __init__(self, pool: Pool, consumer: AIOKafkaConsumer, topic: str, catalog: Catalog) -> None:
        self.catalog = catalog
        self.topic = topic
        self._pool = pool
        self.consumer = consumer
        self._partition = TopicPartition(topic, 0)
        self._topic_identity = TopicIdentity(pool, consumer, topic)
        self.caught_up = time.monotonic()  # when memory last held all catalog events; the readiness probe reads it
        self._one_at_a_time = asyncio.Lock()  # batches and the sweep share the consumer and the memory

    async def start(self) -> None:
        """Assign the topic's one partition without a group, because every aggregator reads all catalog events.

        The partition is paused except while events are read. A broker answers the requests of a connection in order, so
        a fetch that waits for events would delay every request for offsets by half a second.

        Raises OffsetGap when Postgres has applied another log under this name.
        """
        self.consumer.assign([self._partition])
        self.consumer.pause(self._partition)
        position = (await load_progress(self._pool, self.topic, [0]))[0]
        self._check_end(await self.find_end(), position)
        await self._topic_identity.verify({self._partition: position}, self._holds_younger)
        await self.take_over()

    async def catch_up(self) -> bool:
        """Apply catalog events up to the present end of the topic. Returns whether the catalog in memory changed.
        Raises OffsetGap."""
        before = self.catalog.version
        end = await self.find_end()
        self._check_end(end, before)
        async with self._one_at_a_time:
            if self.catalog.version < end:
                # Checked before reading: events of another log would advance the position and hide the mismatch.
                await self._topic_identity.check([0])
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
            records = await self._fetch()
            # Use the position, not the last record: transaction markers may follow it, and no catalog event may come
            # after them.
            position = await self.consumer.position(self._partition)
            if position > begin:
                if position - begin != len(records):
                    await find_passed(self.consumer, self._partition, begin, position, records)
                await apply_catalog_events(self._pool, self.topic, records, (begin, position))
            await self._refresh()

    async def _fetch(self) -> list[Record]:
        """The next records: 1,000, or fewer large ones."""
        records: list[Record] = []
        while len(records) < RECORDS_MAX and sum(len(record.value or b"") for record in records) < BYTES_MAX:
            wait_ms = 0 if records else 1000
            fetched = await self.consumer.getmany(self._partition, timeout_ms=wait_ms, max_records=FETCH_AT_ONCE)
            if not fetched:
                break
            records += fetched[self._partition]
        return records

    async def check(self) -> None:
        """Raise OffsetGap when the log begins with another record than before."""
        await self._topic_identity.check([0])

    def _check_end(self, end: int, position: int) -> None:
        # Without this check the reader would wait until a shorter log is as long again, and never read the records
        # before that.
        if end < position:
            raise OffsetGap(f"{self.topic}/0 ends at {end}, Postgres expects {position}. {RECREATED}")

    async def find_end(self) -> int:
        """The present end offset of the catalog topic."""
        return (await self.end_offsets([self._partition]))[self._partition]

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """The present end offsets of partitions of any topic. Fast, since no other request waits on this connection."""
        ends: dict[TopicPartition, int] = await self.consumer.end_offsets(partitions)
        return ends

    async def take_over(self) -> None:
        """Load the changes since the version in memory, which this or another aggregator applied."""
        async with self._one_at_a_time:
            await self._refresh()

    async def _refresh(self) -> None:
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            [progress] = await connection.fetch(SQL["select_progress"], self.topic)
            await self.catalog.refresh(connection, max(progress["next_offset"], self.catalog.version))
