"""Batches of one partition on their way to Kafka, which requests share."""

import asyncio
from collections import deque
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer, TopicPartition

from ingest.domain.limits import MemoryBudget
from ingest.metrics import RECORDS_PER_BATCH

RECORD_OVERHEAD_BYTES = 100  # headers and framing, roughly

Headers = Sequence[tuple[str, bytes]]


class ProducerBroken(Exception):
    """A batch failed for good. Its sequence numbers are missing now, so no later batch can succeed: start a new process."""


class Batch:
    """Records of one partition, of one or many requests."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.builder = producer.create_batch()
        self.size = 0
        self.wanted_until = 0.0
        """On the loop's clock: until then a request waits for it."""
        # Not an exception if it fails: often nobody waits any more to retrieve it.
        self.delivered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class PartitionQueue:
    """One partition: a batch on its way to the broker, and those that fill up behind it."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int, budget: MemoryBudget) -> None:
        self.partition = TopicPartition(topic, partition)
        self.sending: Batch | None = None
        self.sending_since = 0.0
        self.task: asyncio.Task[None] | None = None
        self._producer = producer
        self._budget = budget
        self._waiting: deque[Batch] = deque()

    def add(self, key: bytes, value: bytes, headers: Headers, wanted_until: float) -> Batch:
        """Put a record into the batch that fills; returns it."""
        batch = self._waiting[-1] if self._waiting else self._begin_batch()
        if batch.builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
            batch = self._begin_batch()
            batch.builder.append(timestamp=None, key=key, value=value, headers=headers)
        batch.size += size_of(key, value)
        batch.wanted_until = wanted_until
        return batch

    async def send(self) -> None:
        """Send what waits, one batch after the other. Raises ProducerBroken."""
        while self._waiting:
            batch = self.sending = self._waiting.popleft()
            self.sending_since = asyncio.get_running_loop().time()
            # A closed builder takes no more records, whose sequence numbers would not have been counted.
            batch.builder.close()
            RECORDS_PER_BATCH.observe(batch.builder.record_count())
            try:
                topic, partition = self.partition
                await (await self._producer.send_batch(batch.builder, topic, partition=partition))
            except Exception as error:
                self._settle(batch, delivered=False)
                raise ProducerBroken(
                    f"{self.partition.topic}/{self.partition.partition}: {type(error).__name__}: {error}"
                ) from error
            self._settle(batch, delivered=True)
            self.drop_unwanted()
        self.sending = None

    def drop_unwanted(self) -> None:
        """Forget waiting batches whose requests have all been answered: their senders come again."""
        now = asyncio.get_running_loop().time()
        while self._waiting and self._waiting[0].wanted_until <= now:
            self._settle(self._waiting.popleft(), delivered=False)

    def abandon(self) -> None:
        """Stop sending; whoever waits learns that the outcome is unknown."""
        if self.task:
            self.task.cancel()
        for batch in [self.sending, *self._waiting]:
            if batch:
                self._settle(batch, delivered=False)
        self._waiting.clear()

    def _begin_batch(self) -> Batch:
        batch = Batch(self._producer)
        self._waiting.append(batch)
        return batch

    def _settle(self, batch: Batch, *, delivered: bool) -> None:
        if not batch.delivered.done():
            batch.delivered.set_result(delivered)
            self._budget.give(batch.size)


def size_of(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + RECORD_OVERHEAD_BYTES
