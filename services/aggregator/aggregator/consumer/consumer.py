"""The loop: fetch -> decode -> catalog -> decide and store -> commit. Postgres owns the position, Kafka gets a hint."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from math import inf
from typing import TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from runtime.postgres import Pool, passing_failure, timed_out
from runtime.tracing import LINKS_MAX, Tracing

from aggregator import metrics
from aggregator.backlog.backlog import Backlog
from aggregator.catalog.reader import CatalogReader
from aggregator.consumer.isolation import count_batch
from aggregator.db.catalog_cache import Overtaken
from aggregator.db.progress import OffsetGap, load_progress, load_received, mark_caught_up
from aggregator.domain.batch_result import Outcome
from aggregator.domain.dead_letter_limit import PoisonGuard
from aggregator.domain.decode import Reading, Record, empty_reading, read, traceparents
from aggregator.measures import measure_watermark, observe_batch
from aggregator.topic_identity import ANEW, Continuity, find_passed

log = structlog.get_logger()
DECODE_AT_ONCE = 100  # records, about a millisecond; then the event loop may go on feeding Postgres
MARK_WITHIN_S = 2.0
RELEASE_EVERY_S = 3.0  # a correction may wait for its original, of which no fact tells
RERUN_WAIT_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class Stalled(Exception):
    """A consumer that has stopped without a word, as aiokafka's has been seen to: only a new process helps."""


class UsageStream(ConsumerRebalanceListener):  # type: ignore[misc]
    """Counts the partitions that the group assigns to this process."""

    def __init__(
        self, pool: Pool, consumer: AIOKafkaConsumer, ends: AIOKafkaConsumer, topic: str, facts: CatalogReader,
        guard: PoisonGuard | None, tracing: Tracing, *, batch_events_max: int, batch_interval_s: float,
        fetch_wait_ms: int, give_up_s: float,
    ) -> None:  # fmt: skip
        self.topic = topic
        self.turn_began: float | None = None  # monotonic seconds, read by the readiness probe
        self.positioned = False
        self.untold: list[str] = []  # traceparents of what was counted since the relay last told of totals
        self.standing_since: float | None = None  # monotonic seconds; None while all that waits is being counted
        self._pool = pool
        self._consumer = consumer
        self._ends = ends  # reads uncommitted: says where logs end, whoever's transaction is still open
        self._facts = facts
        self._continuity = Continuity(pool, facts.consumer, topic)
        self._guard = guard
        self._tracing = tracing
        self._batch_events_max = batch_events_max
        self._batch_interval_s = batch_interval_s
        self._fetch_due = 0.0
        self._fetch_wait_ms = fetch_wait_ms
        self._give_up_s = give_up_s
        self._failure: Exception | None = None
        self._assignments = 0
        self._swept = -inf
        self._backlog = Backlog(pool, topic, facts)
        self._moving: dict[TopicPartition, tuple[int, float]] = {}
        self._reached: dict[TopicPartition, int] = {}

    def subscribe(self) -> None:
        self._consumer.subscribe([self.topic], listener=self)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Nothing to hand over: a batch under way is fenced by Postgres, whoever commits first."""
        self.positioned = False
        self._assignments += 1
        self._reached.clear()
        self._moving.clear()
        self.standing_since = None

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Go to where Postgres stands. aiokafka only logs what a listener raises, so the loop raises it for us."""
        try:
            await self._seek(list(assigned))
            log.info("partitions assigned", topic=self.topic, partitions=sorted(at.partition for at in assigned))
        except Exception as error:
            self._failure = error

    async def _seek(self, assigned: list[TopicPartition]) -> None:
        # Rows for all partitions, assigned to us or not: one that nobody owns must hold back what counts as complete.
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
                    f" {ends[at]}. Retention took unread records, or the topic was made anew"
                )
        await self._continuity.recognize({at: positions[at.partition] for at in assigned})
        # From here on without a pause: what is fetched after the seek counts.
        for at in assigned:
            self._consumer.seek(at, positions[at.partition])
        self._reached = {**self._reached, **{at: positions[at.partition] for at in assigned}}
        self.positioned = True
        self._assignments += 1

    async def run(self) -> None:
        """Turns for ever; the next batch is fetched and decoded while Postgres works on this one."""
        reading = asyncio.create_task(self.fetch())
        try:
            while True:
                batch = await reading
                reading = asyncio.create_task(self.fetch())
                await self.turn(batch)
        finally:
            reading.cancel()

    async def fetch(self) -> Reading:
        """The next records, decoded; empty when none came within the wait."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._fetch_due - clock()))
        self._fetch_due = clock() + self._batch_interval_s
        assignments = self._assignments
        fetched = await self._consumer.getmany(timeout_ms=self._fetch_wait_ms, max_records=self._batch_events_max)
        if self._failure is not None:
            raise self._failure
        reading = empty_reading()
        if not self.positioned:
            return reading  # aiokafka fetches from Kafka's own offset while we still look up Postgres'
        positions = await self._find_positions()
        if self._assignments != assignments:
            # These records may be from before or after the listener's seek: fetch them again.
            await self._seek(list(self._consumer.assignment()))
            return reading
        reached, self._reached = self._reached, {**self._reached, **positions}
        fetched = {at: records for at, records in fetched.items() if at in positions}
        for records in fetched.values():
            for start in range(0, len(records), DECODE_AT_ONCE):
                read(records[start : start + DECODE_AT_ONCE], reading)
                await asyncio.sleep(0)
        for at, position in positions.items():
            await self._pass(at, reached[at], position, fetched.get(at, ()), reading)
        return reading

    async def _find_positions(self) -> dict[TopicPartition, int]:
        """Up to where each partition was read: behind its last record, and behind markers of transactions after that."""
        try:
            return {at: await self._consumer.position(at) for at in [*self._reached]}
        except IllegalStateError:
            self._assignments += 1  # just revoked: what was fetched is dropped, and has to come again
            return {}

    async def _pass(
        self, at: TopicPartition, begin: int, position: int, records: Sequence[Record], reading: Reading
    ) -> None:
        """Extend the reading to `position`; offsets without a record are gaps of it. Raises OffsetGap."""
        if records:
            begin, position = min(begin, records[0].offset), max(position, records[-1].offset + 1)
        if position <= begin or position - begin == len(records):
            return
        reading.gaps.extend(await find_passed(self._ends, at, begin, position, records))
        reading.spans[at.partition] = (begin, position - 1)

    async def turn(self, batch: Reading) -> Outcome | None:
        """Count one batch: everything in it has its fate in Postgres when this returns."""
        if not batch.spans:
            return None
        if self._guard is not None:
            self._guard.check(batch)
        self.turn_began, began_s = time.monotonic(), time.time()
        causes = traceparents(batch, LINKS_MAX) if self._tracing.is_on else ()
        with self._tracing.span(f"process {self.topic}", "consumer", causes) as span:
            outcome = await rerun(lambda: self._count(batch))
            span.note(counted=len(outcome.counted), partitions=len(batch.spans))
            if self._tracing.is_on:
                self.untold = [*self.untold, span.traceparent][-LINKS_MAX:]
        observe_batch(batch, outcome, began_s, time.time())
        # Offsets last, and only as a hint for lag displays: if we die before this line the batch comes again, and
        # partition_progress drops it.
        await self._commit(outcome)
        self.turn_began = None
        return outcome

    def take_untold(self) -> list[str]:
        """The causes of the totals that are told next. Another aggregator may tell ours; its trace then does not say so."""
        taken, self.untold = self.untold, []
        return taken

    async def _count(self, batch: Reading) -> Outcome:
        await self._continuity.check(batch.spans)
        if await self._facts.catch_up():
            self._swept = -inf  # not in this turn: whoever's usage waits may have much of it
        topics = (self.topic, self._facts.topic)
        while True:
            try:
                with self._tracing.span("transaction", "client", db__system__name="postgresql"):
                    outcome = await count_batch(self._pool, topics, batch, self._facts.catalog)
                break
            except Overtaken:
                await self._facts.take_over()
                self._swept = -inf
            except Exception as error:
                if timed_out(error):
                    self._moving.clear()  # Postgres is slow for everybody: a new process would not be quicker
                raise
        return outcome

    async def _commit(self, outcome: Outcome) -> None:
        owned = self._consumer.assignment()
        offsets = {TopicPartition(self.topic, at): offset for at, offset in outcome.next_offsets.items()}
        offsets = {at: offset for at, offset in offsets.items() if at in owned}
        try:
            if offsets:
                await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            log.info("offsets not committed to Kafka, Postgres has them", topic=self.topic, reason=str(error))

    async def sweep(self) -> None:
        """Behind the batches: facts that came without usage, and held usage, which a missed moment must not strand."""
        changed = await rerun(self._facts.catch_up)
        clock = asyncio.get_running_loop().time
        if changed or clock() - self._swept > RELEASE_EVERY_S:
            self._swept = clock()  # before: what becomes known meanwhile is for the next time
            if await rerun(self._backlog.work_off):
                self._swept = -inf

    async def watch(self) -> None:
        """Say up to when totals are complete, also while nothing comes. Raises Stalled."""
        seen = datetime.now(UTC)
        owned = [at for at in self._consumer.assignment() if at.topic == self.topic]
        try:
            # In this order: what is counted meanwhile must not look as if the log were too short.
            positions = await load_progress(self._pool, self.topic, [at.partition for at in owned])
            # Of an open transaction nothing can be counted yet, and what follows it is not complete.
            heads = await self._ends.end_offsets(owned) if owned else {}
            ends = await self._facts.end_offsets(owned) if owned else {}
            await self._continuity.check(positions)
            await self._facts.check()
        except Exception:
            self._moving.clear()  # while Kafka or Postgres is away nobody moves
            raise
        for at, end in heads.items():
            if end < positions[at.partition]:
                raise OffsetGap(
                    f"{at.topic}/{at.partition} ends at {end}, Postgres expects {positions[at.partition]}. {ANEW}"
                )
        self._check_moving(ends, positions)
        metrics.LAG.set(sum(end - positions[at.partition] for at, end in heads.items()))
        # Whoever holds a lock on these rows must not keep us from looking again.
        async with asyncio.timeout(MARK_WITHIN_S):
            await mark_caught_up(self._pool, self.topic, {at.partition: end for at, end in heads.items()}, seen)
            await measure_watermark(self._pool, self.topic)

    def _check_moving(self, ends: dict[TopicPartition, int], positions: dict[int, int]) -> None:
        """Raise Stalled when there is something to count and nothing has been for too long."""
        now, before = time.monotonic(), self._moving
        self._moving = {}
        for at, end in ends.items():
            position = positions[at.partition]
            last, since = before.get(at, (position, now))
            self._moving[at] = (position, now if position != last or position >= end else since)
        standing = [(since, at) for at, (position, since) in self._moving.items() if since < now]
        self.standing_since = min(standing)[0] if standing else None
        for since, at in standing:
            if now - since > self._give_up_s:
                position = positions[at.partition]
                raise Stalled(f"{self.topic}/{at.partition} stands at {position} of {ends[at]} for {now - since:.0f} s")


Result = TypeVar("Result")


async def rerun(work: Callable[[], Awaitable[Result]]) -> Result:
    """Run `work` again for as long as its failures pass, or it takes too long; everything else crashes the process, which
    replays."""
    attempt = 0
    while True:
        try:
            return await work()
        except Exception as error:
            code = passing_failure(error) or ("57014" if timed_out(error) else None)
            if isinstance(error, KafkaError) and error.retriable:
                code = type(error).__name__
            if code is None:
                raise
            wait_s = RERUN_WAIT_S[min(attempt, len(RERUN_WAIT_S) - 1)]
            attempt += 1
            metrics.RERUNS.labels(code).inc()
            log.warning("retrying", reason=f"{type(error).__name__}: {error}", attempt=attempt, wait_s=wait_s)
            await asyncio.sleep(wait_s)
