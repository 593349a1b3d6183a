"""Publishes records to Kafka. Returns once all in-sync replicas have them, or fails after a maximum wait.

Requests share batches: while the batch of a partition is being sent, the next one fills with the records that arrive
(group commit). A thousand requests of one event therefore need as few round trips as two requests of five hundred.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, NoReturn
from zlib import crc32

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from runtime.kafka.clients import open_producer

from ingest.domain.limits import Budget
from ingest.kafka.partition_queue import Headers, PartitionQueue, size_of

log = structlog.get_logger()

CONNECT_WITHIN_S = 10.0
RECONNECT_AFTER_S = 1.0
WATCH_EVERY_S = 2.0
WATCH_WITHIN_S = 5.0
# Without an answer for this time a connection counts as lost, and the batch is sent again with the same sequence
# number.
REQUEST_TIMEOUT_MS = 15_000
Message = tuple[str, bytes, bytes, Headers]
"""Topic, key, value, headers."""


class NotAccepted(Exception):
    """No record of the request was written, nor will be."""


class OutcomeUnknown(Exception):
    """Records of the request may have been written, or may be written later."""


class Publisher:
    """One idempotent producer for all requests. `run` connects and monitors it; `publish` uses it."""

    def __init__(
        self, bootstrap: str, topics: Sequence[str], budget: Budget, wait_s: float, security: dict[str, Any]
    ) -> None:
        self._bootstrap = bootstrap
        self._topics = topics
        self._budget = budget
        self._wait_s = wait_s
        self._security = security
        self._producer: AIOKafkaProducer | None = None
        self._queues: dict[str, list[PartitionQueue]] = {topic: [] for topic in topics}
        self._broken: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
        self.problem: str | None = "not connected to Kafka yet"
        """The reason why ingest is not ready; None when it is ready."""

    async def run(self) -> None:
        """Connect, however long that takes, and monitor the connection until cancelled. Raises ProducerBroken."""
        async with AsyncExitStack() as stack:
            self._producer = await self._connect(stack)
            try:
                await self._watch(self._producer)
            finally:
                self._producer = None
                self.problem = "the producer has stopped"
                for queue in self._all_queues():
                    queue.abandon()

    async def publish(self, messages: Sequence[Message], sender: str) -> None:
        """Return when all messages of a sender are acknowledged. Raises NotAccepted, OverBudget or OutcomeUnknown.

        After OutcomeUnknown the records may still be delivered in the background: the producer retries until cancelled,
        and the ledger drops the copies that the next attempt of the sender makes.
        """
        producer = self._producer
        if producer is None or self._broken.done():
            raise NotAccepted("Kafka is not connected")
        loop = asyncio.get_running_loop()
        queues = {topic: self._queues_of(producer, topic) for topic in self._topics}
        planned = [
            (queues[topic][crc32(key) % len(queues[topic])], key, value, headers)
            for topic, key, value, headers in messages
        ]
        used = {queue for queue, *_ in planned}
        self._check(producer, used)
        self._budget.take(sender, sum(size_of(key, value) for _, key, value, _ in messages))
        # No await from here on, so that either all records of a request are in batches, or none.
        wanted_until = loop.time() + self._wait_s
        batches = {queue.add(sender, key, value, headers, wanted_until) for queue, key, value, headers in planned}
        for queue in used:
            if queue.task is None or queue.task.done():
                queue.task = asyncio.create_task(queue.send())
                queue.task.add_done_callback(self._notice)
        done, pending = await asyncio.wait([batch.delivered for batch in batches], timeout=self._wait_s)
        if not all(delivered.result() for delivered in done):
            raise OutcomeUnknown("Kafka did not take a batch")
        if pending:
            for queue in used:
                queue.drop_unwanted()
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
        """Request metadata at intervals, for readiness, new partitions and new leaders."""
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

    def _queues_of(self, producer: AIOKafkaProducer, topic: str) -> list[PartitionQueue]:
        queues = self._queues[topic]
        partitions = producer.client.cluster.partitions_for_topic(topic) or ()
        for partition in range(len(queues), len(partitions)):
            queues.append(PartitionQueue(producer, topic, partition, self._budget))
        return queues

    def _all_queues(self) -> list[PartitionQueue]:
        return [queue for queues in self._queues.values() for queue in queues]

    def _check(self, producer: AIOKafkaProducer, queues: set[PartitionQueue]) -> None:
        """Raise NotAccepted at once when a request would only time out. The stuck batch shows when Kafka works
        again."""
        now = asyncio.get_running_loop().time()
        for queue in queues:
            if queue.sending and now - queue.sending_since > self._wait_s:
                queue.drop_unwanted()
                raise NotAccepted(f"Kafka has not acknowledged a batch for {now - queue.sending_since:.0f} s")
            # Without a leader aiokafka would wait, then drop the batch and leave a gap in the sequence.
            if producer.client.cluster.leader_for_partition(queue.partition) in (None, -1):
                raise NotAccepted("a partition has no leader at the moment")

    def _notice(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._broken.done():
            self._broken.set_exception(error)
