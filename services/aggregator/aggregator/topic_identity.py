"""Detects that a topic was deleted and created again under its name, which offsets alone do not show."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from runtime.postgres.pool import Pool

from aggregator.db.progress import OffsetGap, load_received
from aggregator.domain.decode import find_gaps
from aggregator.domain.record import Record

RECREATED = "The topic was re-created: what it holds before that offset would never be counted"


async def find_passed(
    consumer: AIOKafkaConsumer, at: TopicPartition, begin: int, end: int, records: Iterable[Record]
) -> list[tuple[int, int, int]]:
    """The gaps without a record from `begin` to before `end`, each as partition, begin and end.

    Gaps are transaction markers, records of aborted transactions, or records that compaction removed. Raises OffsetGap
    when the log begins after the first gap, because records in it may be lost; earlier records may be deleted.
    """
    gaps = find_gaps(at.partition, begin, end, (record.offset for record in records))
    if gaps:
        first, kept_from = gaps[0][1], (await consumer.beginning_offsets([at]))[at]
        if kept_from > first:
            raise OffsetGap(
                f"{at.topic}/{at.partition}: Postgres expects offset {first}, Kafka delivers up to {end} and holds what is"
                f" from {kept_from} on. Retention took unread records"
            )
    return gaps


class TopicIdentity:
    """Remembers the offset and append time of the first record of each assigned partition. Only retention may change
    them, by removing records."""

    def __init__(self, pool: Pool, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._pool = pool
        self._consumer = consumer
        self._topic = topic
        self._begins: dict[TopicPartition, tuple[int, int] | None] = {}
        """None while a log is empty."""

    async def verify(
        self,
        positions: Mapping[TopicPartition, int],
        holds_younger: Callable[[int, int, int], Awaitable[bool]] | None = None,
    ) -> None:
        """Start to check these partitions, at these offsets. Raises OffsetGap when a record before its offset is
        younger than all counted ones.

        Where records keep the times of their producers, Kafka may return a transaction marker, which has the time of
        the broker. `holds_younger(begin, end, milliseconds)` then says whether the log has a record in that range after
        that time.
        """
        received = await load_received(self._pool, self._topic)
        known = {at: received[at.partition] for at in positions if at.partition in received}
        younger = await self._find_offsets({at: received_ms + 1 for at, (received_ms, _) in known.items()})
        for at, (offset, _) in younger.items():
            # Kafka also returns transaction markers, whose append time is unknown to us.
            end = min(positions[at], known[at][1])
            if offset < end and (holds_younger is None or await holds_younger(offset, end, known[at][0])):
                raise OffsetGap(
                    f"{self._topic}/{at.partition}: Postgres expects offset {positions[at]}, but offset {offset} was"
                    f" appended after all that it has counted. {RECREATED}"
                )
        self._begins |= {**dict.fromkeys(positions), **await self._find_offsets(dict.fromkeys(positions, 0))}

    async def check(self, partitions: Iterable[int]) -> None:
        """Raise OffsetGap when one of these partitions, if it is assigned to us, begins with another record than
        before."""
        ours = [at for partition in partitions if (at := TopicPartition(self._topic, partition)) in self._begins]
        for at, (offset, appended_ms) in (await self._find_offsets(dict.fromkeys(ours, 0))).items():
            before = self._begins[at]
            if before and (offset < before[0] or (offset == before[0] and appended_ms != before[1])):
                raise OffsetGap(
                    f"{self._topic}/{at.partition} began with {before}, now with {offset, appended_ms}. {RECREATED}"
                )
            self._begins[at] = offset, appended_ms

    async def _find_offsets(self, from_ms: dict[TopicPartition, int]) -> dict[TopicPartition, tuple[int, int]]:
        """Offset and append time of each log's first record at this time or later, if any."""
        found = await self._consumer.offsets_for_times(from_ms) if from_ms else {}
        return {at: (record.offset, record.timestamp) for at, record in found.items() if record is not None}
