"""Batches of one partition that wait for or are being sent to Kafka. Requests share them."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer, TopicPartition

from ingest.domain.limits import Budget
from ingest.metrics import RECORDS_PER_BATCH

RECORD_OVERHEAD_BYTES = 100  # approximate size of headers and framing

Headers = Sequence[tuple[str, bytes]]


class ProducerBroken(Exception):
    """A batch failed permanently. Its sequence numbers are missing, so no later batch can succeed: start a new
    process."""


class Batch:
    """Records of one partition, of one or many requests."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.builder = producer.create_batch()
        self.sizes = Counter[str]()
        """Bytes by sender."""
        self.wanted_until = 0.0
        """Until this time on the clock of the event loop, a request waits for the batch."""
        # A failure is a result, not an exception: often no request waits any more to retrieve it.
        self.delivered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class PartitionQueue:
    """The queue of one partition: the batch being sent, and the batches that fill while it is sent."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int, budget: Budget) -> None:
        self.partition = TopicPartition(topic, partition)
        self.sending: Batch | None = None
        self.sending_since = 0.0
        self.task: asyncio.Task[None] | None = None
        self._producer = producer
        self._budget = budget
        self._waiting: deque[Batch] = deque()

    def add(self, sender: str, key: bytes, value: bytes, headers: Headers, wanted_until: float) -> Batch:
        """Add a record to the batch that is being filled, and return the batch."""
        batch = self._waiting[-1] if self._waiting else self._begin_batch()
        if batch.builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
            batch = self._begin_batch()
            batch.builder.append(timestamp=None, key=key, value=value, headers=headers)
        batch.sizes[sender] += size_of(key, value)
        batch.wanted_until = wanted_until
        return batch

    async def send(self) -> None:
        """Send the waiting batches one after the other. Raises ProducerBroken."""
        while self._waiting:
            batch = self.sending = self._waiting.popleft()
            self.sending_since = asyncio.get_running_loop().time()
            # A closed builder accepts no more records, whose sequence numbers would not be counted.
            batch.builder.close()
            RECORDS_PER_BATCH.observe(batch.builder.record_count())
            try:
                topic, partition = self.partition
                await (await self._producer.send_batch(batch.builder, topic, partition=partition))
            except Exception as error:
                self._complete(batch, delivered=False)
                raise ProducerBroken(
                    f"{self.partition.topic}/{self.partition.partition}: {type(error).__name__}: {error}"
                ) from error
            self._complete(batch, delivered=True)
            self.drop_unwanted()
        self.sending = None

    def drop_unwanted(self) -> None:
        """Drop waiting batches whose requests have all been answered: their senders retry."""
        now = asyncio.get_running_loop().time()
        while self._waiting and self._waiting[0].wanted_until <= now:
            self._complete(self._waiting.popleft(), delivered=False)

    def abandon(self) -> None:
        """Stop sending. Waiting requests are answered that the outcome is unknown."""
        if self.task:
            self.task.cancel()
        for batch in [self.sending, *self._waiting]:
            if batch:
                self._complete(batch, delivered=False)
        self._waiting.clear()

    def _begin_batch(self) -> Batch:
        batch = Batch(self._producer)
        self._waiting.append(batch)
        return batch

    def _complete(self, batch: Batch, *, delivered: bool) -> None:
        if not batch.delivered.done():
            batch.delivered.set_result(delivered)
            for sender, size in batch.sizes.items():
                self._budget.give(sender, size)


def size_of(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + RECORD_OVERHEAD_BYTES
