"""Records -> Kafka. Returns once every in-sync replica has them, and never waits longer than it was told to.

Requests share batches: while a partition's batch is on its way, the next one fills with whatever arrives (group
commit), so a thousand requests of one event cost as few round trips as two requests of five hundred.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, NoReturn
from zlib import crc32

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from runtime.kafka import open_producer

from ingest.limits import Budget
from ingest.metrics import RECORDS_PER_BATCH

log = structlog.get_logger()

CONNECT_WITHIN_S = 10.0
RECONNECT_AFTER_S = 1.0
WATCH_EVERY_S = 2.0
WATCH_WITHIN_S = 5.0
# After this long without an answer a connection counts as dead and the batch is sent again, with the same sequence.
REQUEST_TIMEOUT_MS = 15_000
RECORD_OVERHEAD_BYTES = 100  # headers and framing, roughly

Headers = Sequence[tuple[str, bytes]]
Message = tuple[str, bytes, bytes, Headers]
"""Topic, key, value, headers."""


class NotAccepted(Exception):
    """Nothing of the request was written, nor will be."""


class OutcomeUnknown(Exception):
    """Part of the request may have been written, or will be."""


class ProducerBroken(Exception):
    """A batch failed for good. Its sequence numbers are missing now, so no later batch can succeed: start anew."""


class Batch:
    """Records of one partition, of one or many requests."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.builder = producer.create_batch()
        self.size = 0
        self.wanted_until = 0.0
        """On the loop's clock: until then a request waits for it."""
        # Not an exception if it fails: often nobody waits any more to retrieve it.
        self.delivered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class Lane:
    """One partition: a batch on its way to the broker, and those that fill up behind it."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int, budget: Budget) -> None:
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


class Publisher:
    """One idempotent producer for all requests. `run` connects it and keeps watch; `publish` uses it."""

    def __init__(
        self, bootstrap: str, topics: Sequence[str], budget: Budget, wait_s: float, security: dict[str, Any]
    ) -> None:
        self._bootstrap = bootstrap
        self._topics = topics
        self._budget = budget
        self._wait_s = wait_s
        self._security = security
        self._producer: AIOKafkaProducer | None = None
        self._lanes: dict[str, list[Lane]] = {topic: [] for topic in topics}
        self._broken: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
        self.problem: str | None = "not connected to Kafka yet"
        """Why we are not ready; None when we are."""

    async def run(self) -> None:
        """Connect, however long it takes, and watch the connection for ever. Raises ProducerBroken."""
        async with AsyncExitStack() as stack:
            self._producer = await self._connect(stack)
            try:
                await self._watch(self._producer)
            finally:
                self._producer = None
                self.problem = "the producer has stopped"
                for lane in self._all_lanes():
                    lane.abandon()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when all messages are acknowledged. Raises NotAccepted, OverBudget or OutcomeUnknown.

        After OutcomeUnknown the records may still be delivered: they go on in the background, for the producer retries
        for ever, and the ledger drops the copies that the sender's next attempt makes.
        """
        producer = self._producer
        if producer is None or self._broken.done():
            raise NotAccepted("Kafka is not connected")
        loop = asyncio.get_running_loop()
        lanes = {topic: self._lanes_of(producer, topic) for topic in self._topics}
        planned = [
            (lanes[topic][crc32(key) % len(lanes[topic])], key, value, headers)
            for topic, key, value, headers in messages
        ]
        used = {lane for lane, *_ in planned}
        self._check(producer, used)
        self._budget.take(sum(size_of(key, value) for _, key, value, _ in messages))
        # From here on without await, so that a request is in its batches as a whole or not at all.
        wanted_until = loop.time() + self._wait_s
        batches = {lane.add(key, value, headers, wanted_until) for lane, key, value, headers in planned}
        for lane in used:
            if lane.task is None or lane.task.done():
                lane.task = asyncio.create_task(lane.send())
                lane.task.add_done_callback(self._notice)
        done, pending = await asyncio.wait([batch.delivered for batch in batches], timeout=self._wait_s)
        if not all(delivered.result() for delivered in done):
            raise OutcomeUnknown("Kafka did not take a batch")
        if pending:
            for lane in used:
                lane.drop_unwanted()
            raise OutcomeUnknown(f"Kafka has not acknowledged within {self._wait_s:g} s")

    async def _connect(self, stack: AsyncExitStack) -> AIOKafkaProducer:
        while True:
            lacking = "connection"
            async with AsyncExitStack() as attempt:
                try:
                    async with asyncio.timeout(CONNECT_WITHIN_S):
                        producer = await attempt.enter_async_context(
                            open_producer(
                                self._bootstrap, "ingest", request_timeout_ms=REQUEST_TIMEOUT_MS, **self._security
                            )
                        )
                        for topic in self._topics:
                            lacking = f"topic {topic}"
                            self.problem = f"Kafka: no {lacking}"
                            await producer.partitions_for(topic)
                    self.problem = None
                    stack.push_async_exit(attempt.pop_all())
                    return producer
                except (KafkaError, TimeoutError, OSError) as error:
                    self.problem = f"Kafka: no {lacking}, {type(error).__name__}: {error}"
                    log.warning("kafka cannot be used yet", reason=self.problem)
            await asyncio.sleep(RECONNECT_AFTER_S)

    async def _watch(self, producer: AIOKafkaProducer) -> NoReturn:
        """Ask for metadata now and again: readiness, new partitions and new leaders come of it."""
        while True:
            answer = producer.client.force_metadata_update()
            await asyncio.wait({answer, self._broken}, timeout=WATCH_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            problem = None if answer.done() and answer.result() else "Kafka does not answer"
            if problem != self.problem:
                log.warning("kafka answers again" if problem is None else "kafka does not answer")
            self.problem = problem
            await asyncio.wait({self._broken}, timeout=WATCH_EVERY_S)
            if self._broken.done():
                self._broken.result()

    def _lanes_of(self, producer: AIOKafkaProducer, topic: str) -> list[Lane]:
        lanes = self._lanes[topic]
        partitions = producer.client.cluster.partitions_for_topic(topic) or ()
        for partition in range(len(lanes), len(partitions)):
            lanes.append(Lane(producer, topic, partition, self._budget))
        return lanes

    def _all_lanes(self) -> list[Lane]:
        return [lane for lanes in self._lanes.values() for lane in lanes]

    def _check(self, producer: AIOKafkaProducer, lanes: set[Lane]) -> None:
        """Refuse at once what would only wait: the batch that is stuck is also the probe that tells when it works again."""
        now = asyncio.get_running_loop().time()
        for lane in lanes:
            if lane.sending and now - lane.sending_since > self._wait_s:
                lane.drop_unwanted()
                raise NotAccepted(f"Kafka has not acknowledged a batch for {now - lane.sending_since:.0f} s")
            # Waiting for a leader would make aiokafka give the batch up and leave a gap in the sequence.
            if producer.client.cluster.leader_for_partition(lane.partition) in (None, -1):
                raise NotAccepted("a partition has no leader at the moment")

    def _notice(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._broken.done():
            self._broken.set_exception(error)


def size_of(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + RECORD_OVERHEAD_BYTES
