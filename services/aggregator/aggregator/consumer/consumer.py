"""The loop: fetch -> decode -> catalog -> decide and store -> commit. Postgres owns the position; the offsets in Kafka
are only a hint."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from math import inf

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from runtime.observability.tracing import LINKS_MAX, Tracing
from runtime.postgres.errors import timed_out
from runtime.postgres.pool import Pool

from aggregator.backlog.backlog import Backlog
from aggregator.catalog.reader import CatalogReader
from aggregator.consumer.fetch_turns import FetchTurns, size_of
from aggregator.consumer.halves import TooLarge, halve, next_fetch_max
from aggregator.consumer.isolation import count_batch
from aggregator.consumer.rerun import rerun
from aggregator.consumer.stuck_detector import ConsumerState, StuckDetector
from aggregator.consumer.watermark import Watermark
from aggregator.db.catalog_cache import StaleCatalog
from aggregator.db.progress import OffsetGap, load_progress, load_received
from aggregator.domain.batch_result import BatchResult
from aggregator.domain.columns.heads import Heads
from aggregator.domain.dead_letter_limit import DeadLetterLimit
from aggregator.domain.decode import DecodedBatch, empty_batch, read, traceparents
from aggregator.domain.record import Record
from aggregator.measures import observe_batch
from aggregator.topic_identity import TopicIdentity, find_passed

log = structlog.get_logger()
DECODE_AT_ONCE = 1_000  # records, about four milliseconds; then the event loop can send data to Postgres
FETCH_AT_ONCE = 10_000
BATCH_BYTES_MAX = 32 * 2**20
"""Bytes of a batch's records, decoded up to three times as many, and two batches are in memory. The longest events that ingest
accepts have 10 kB: 50,000 of them, decoded, would take 1.5 GB."""
BACKLOG_MIN = 2_000
"""Records of one fetch from which on a batch waits MORE_WAIT_MS for more, for at most COLLECT_S in all."""
MORE_WAIT_MS = 50
COLLECT_S = 1.0
RELEASE_EVERY_S = 3.0  # a correction may wait for its original, and no catalog event announces that one
SLOW_TRIES = 2
"""Timeouts of a batch before it is counted in halves."""


class UsageStream(ConsumerRebalanceListener):  # type: ignore[misc]
    """Counts the partitions that the group assigns to this process."""

    def __init__(
        self, pool: Pool, consumer: AIOKafkaConsumer, ends: AIOKafkaConsumer, topic: str, catalog_reader: CatalogReader,
        guard: DeadLetterLimit | None, tracing: Tracing, *, batch_events_max: int, batch_interval_s: float,
        fetch_wait_ms: int, stuck_exit_s: float,
    ) -> None:  # fmt: skip
        self.topic = topic
        self.state = ConsumerState()
        self._pending_trace_links: list[str] = []  # traceparents of batches since totals were last published
        self._pool = pool
        self._consumer = consumer
        self._fetch_turns = FetchTurns(consumer)
        self._ends = ends  # reads uncommitted records: returns the ends of logs also while a transaction is open
        self._catalog_reader = catalog_reader
        self._topic_identity = TopicIdentity(pool, catalog_reader.consumer, topic)
        self._guard = guard
        self._tracing = tracing
        self._heads = Heads()
        self._batch_events_max = batch_events_max
        self._fetch_max = batch_events_max
        """Size of the next batch in records: halved after a batch timed out, and see next_fetch_max."""
        self._slow = 0
        """Timeouts of this batch."""
        self._batch_interval_s = batch_interval_s
        self._fetch_due = 0.0
        self._fetch_wait_ms = fetch_wait_ms
        self._detector = StuckDetector(topic, stuck_exit_s, self.state)
        self._failure: Exception | None = None
        self._assignments = 0
        self._swept = -inf
        self._backlog = Backlog(pool, topic, catalog_reader)
        self._reached: dict[TopicPartition, int] = {}
        self.watermark = Watermark(pool, consumer, ends, topic, catalog_reader, self._topic_identity, self._detector)

    def subscribe(self) -> None:
        self._consumer.subscribe([self.topic], listener=self)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Reset the state. A batch in progress needs no handover: the fence in Postgres admits the first one that
        commits."""
        self.state.is_positioned = False
        self._assignments += 1
        self._reached.clear()
        self._detector.reset()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Seek to the positions in Postgres. aiokafka only logs exceptions of a listener, so the loop raises them."""
        try:
            await self._seek(list(assigned))
            log.info("partitions assigned", topic=self.topic, partitions=sorted(at.partition for at in assigned))
        except Exception as error:
            self._failure = error

    async def _seek(self, assigned: list[TopicPartition]) -> None:
        # Create rows for all partitions, assigned to us or not: a partition without an owner must hold back the
        # watermark.
        everywhere = self._consumer.partitions_for_topic(self.topic) or set()
        if not everywhere and await load_received(self._pool, self.topic):
            raise OffsetGap(f"{self.topic} is gone, and Postgres has counted from it")
        positions = await load_progress(self._pool, self.topic, everywhere | {at.partition for at in assigned})
        begins, ends = await self._ends.beginning_offsets(assigned), await self._ends.end_offsets(assigned)
        for at in assigned:
            position = positions[at.partition]
            if not begins[at] <= position <= ends[at]:
                raise OffsetGap(
                    f"{self.topic}/{at.partition}: Postgres expects offset {position}, the log holds {begins[at]} to"
                    f" {ends[at]}. Retention took unread records, or the topic was re-created"
                )
        await self._topic_identity.verify({at: positions[at.partition] for at in assigned})
        # No await from here on: records that are fetched after the seek count.
        for at in assigned:
            self._consumer.seek(at, positions[at.partition])
        self._reached = {**self._reached, **{at: positions[at.partition] for at in assigned}}
        self.state.is_positioned = True
        self._assignments += 1

    async def run(self) -> None:
        """Count batches until cancelled. The next batch is fetched and decoded while Postgres works on the present
        one."""
        fetching = asyncio.create_task(self.fetch())
        try:
            while True:
                batch = await fetching
                fetching = asyncio.create_task(self.fetch())
                if self._guard is not None:
                    self._guard.check(batch, has_several=self._catalog_reader.catalog.has_several)
                await self.process_batch(batch)
        finally:
            fetching.cancel()

    async def fetch(self) -> DecodedBatch:
        """Fetch and decode the next records. The batch is empty when none came within the wait.

        With a backlog, several fetches make one batch, because a row of a rollup is then written once for all of them.
        """
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._fetch_due - clock()))
        self._fetch_due = clock() + self._batch_interval_s
        assignments, batch, ends = self._assignments, empty_batch(), clock() + COLLECT_S
        heads = self._next_heads()
        left, room = self._fetch_max, BATCH_BYTES_MAX
        while left > 0 and room > 0 and clock() < ends:
            wanted = min(left, FETCH_AT_ONCE)
            try:
                wait_ms = MORE_WAIT_MS if batch.spans else self._fetch_wait_ms
                fetched = await self._fetch_turns.fetch(wait_ms, wanted, room)
                if self._failure is not None:
                    raise self._failure
            except Exception as error:
                if not batch.spans:
                    raise
                self._failure = error  # for the next fetch; the records of this one count
                break
            if not self.state.is_positioned:
                return empty_batch()  # aiokafka fetches from Kafka's committed offset until the position is known
            positions = await self._find_positions()
            if self._assignments != assignments:
                # These records may precede or follow the seek of the listener: fetch them again.
                await self._seek(list(self._consumer.assignment()))
                return empty_batch()
            await self._read(fetched, positions, heads, batch)
            number = sum(map(len, fetched.values()))
            left, room = left - number, room - sum(map(size_of, fetched.values()))
            if number < min(wanted, BACKLOG_MIN):
                break
        return batch

    def _next_heads(self) -> Heads:
        if self._heads.is_used_up:
            self._heads = Heads()
        return self._heads

    async def _read(
        self, fetched: Mapping[TopicPartition, Sequence[Record]], positions: Mapping[TopicPartition, int], heads: Heads,
        batch: DecodedBatch,
    ) -> None:  # fmt: skip
        reached, self._reached = self._reached, {**self._reached, **positions}
        fetched = {at: records for at, records in fetched.items() if at in positions}
        for records in fetched.values():
            for start in range(0, len(records), DECODE_AT_ONCE):
                read(records[start : start + DECODE_AT_ONCE], batch, heads)
                await asyncio.sleep(0)
        for at, position in positions.items():
            await self._pass(at, reached[at], position, fetched.get(at, ()), batch)

    async def _find_positions(self) -> dict[TopicPartition, int]:
        """The position of each partition: after its last record and the transaction markers that follow it."""
        try:
            return {at: await self._consumer.position(at) for at in [*self._reached]}
        except IllegalStateError:
            self._assignments += 1  # just revoked: the fetched records are dropped and must be fetched again
            return {}

    async def _pass(
        self, at: TopicPartition, begin: int, position: int, records: Sequence[Record], batch: DecodedBatch
    ) -> None:
        """Extend the batch to `position`. Offsets without a record become gaps of the batch. Raises OffsetGap."""
        if records:
            begin, position = min(begin, records[0].offset), max(position, records[-1].offset + 1)
        if position <= begin or position - begin == len(records):
            return
        batch.gaps.extend(await find_passed(self._ends, at, begin, position, records))
        first, _ = batch.spans.get(at.partition, (begin, begin))
        batch.spans[at.partition] = (min(first, begin), position - 1)

    async def process_batch(self, batch: DecodedBatch) -> None:
        """Count one batch, in halves if needed. When this returns, Postgres has the disposition of every record."""
        if not batch.spans:
            return
        try:
            await self._process_at_once(batch)
        except TooLarge as error:
            for half in error.halves:
                await self.process_batch(half)

    async def _process_at_once(self, batch: DecodedBatch) -> None:
        self._slow = 0
        self.state.batch_began, began_s = time.monotonic(), time.time()
        causes = traceparents(batch, LINKS_MAX) if self._tracing.is_on else ()
        with self._tracing.span(f"process {self.topic}", "consumer", causes) as span:
            result = await rerun(lambda: self._count(batch))
            span.note(counted=result.counted_number, partitions=len(batch.spans))
            if self._tracing.is_on:
                self._pending_trace_links = [*self._pending_trace_links, span.traceparent][-LINKS_MAX:]
        observe_batch(batch, result, began_s, time.time())
        # Commit offsets last, and only as a hint for lag displays: after a crash before this line the batch is fetched
        # again, and partition_progress drops it.
        await self._commit(result)
        self.state.batch_began = None
        self._fetch_max = next_fetch_max(self._fetch_max, batch, self._batch_events_max)

    def take_trace_links(self) -> list[str]:
        """Traceparents for the totals that are published next. Another aggregator may publish our totals without these
        links."""
        taken, self._pending_trace_links = self._pending_trace_links, []
        return taken

    async def _count(self, batch: DecodedBatch) -> BatchResult:
        await self._topic_identity.check(batch.spans)
        if await self._catalog_reader.catch_up():
            self._swept = -inf  # swept in the next turn, because an organization may have much held usage
        topics = (self.topic, self._catalog_reader.topic)
        while True:
            try:
                with self._tracing.span("transaction", "client", db__system__name="postgresql"):
                    result = await count_batch(self._pool, topics, batch, self._catalog_reader.catalog)
                break
            except StaleCatalog:
                await self._catalog_reader.take_over()
                self._swept = -inf
            except Exception as error:
                if timed_out(error):
                    self._detector.restart()  # Postgres is slow for all batches: a new process would not be faster
                    self._note_slow(batch, error)
                raise
        return result

    def _note_slow(self, batch: DecodedBatch, error: Exception) -> None:
        """Raise TooLarge when this batch has timed out several times and can be halved."""
        self._slow += 1
        if self._slow < SLOW_TRIES or (halves := halve(batch)) is None:
            return
        self._fetch_max = max(1, self._fetch_max // 2)
        log.warning("counting a batch in halves", reason=f"{type(error).__name__}: {error}", fetch_max=self._fetch_max)
        raise TooLarge(halves) from error

    async def _commit(self, result: BatchResult) -> None:
        owned = self._consumer.assignment()
        offsets = {TopicPartition(self.topic, at): offset for at, offset in result.next_offsets.items()}
        offsets = {at: offset for at, offset in offsets.items() if at in owned}
        try:
            if offsets:
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            log.info("offsets not committed to Kafka, Postgres has them", topic=self.topic, reason=str(error))

    async def catch_up(self) -> None:
        """Apply catalog events and release held usage, in case a batch did not trigger it. Runs at every sweep
        interval."""
        changed = await rerun(self._catalog_reader.catch_up)
        clock = asyncio.get_running_loop().time
        if changed or clock() - self._swept > RELEASE_EVERY_S:
            self._swept = clock()  # set before the work: changes during the work trigger the next sweep
            if await rerun(self._backlog.work_off):
                self._swept = -inf
