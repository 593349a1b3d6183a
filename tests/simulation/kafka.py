"""A simulated Kafka: the parts of aiokafka's consumer and producer that the services use. Several consumers may own a partition."""

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError
from aiokafka.structs import OffsetAndTimestamp
from support.data.factories import FakeRecord

from simulation.world import Process, World

MARKER = b"marker"


def is_marker(record: Any) -> bool:
    """Whether the offset is a transaction marker or an aborted record, which consumers do not receive."""
    return isinstance(record, FakeRecord) and record.key == MARKER


class Kafka:
    """Records by partition, and the offsets that the group committed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log: dict[TopicPartition, list[Any]] = {}
        self.committed: dict[TopicPartition, int] = {}
        self.begins: dict[TopicPartition, int] = {}
        """First offset of a log from which retention deleted records."""
        self.error_rate = 0.0
        """Share of produced messages whose acknowledgement is lost. Half of them are in the log."""

    def partitions(self, topic: str) -> set[TopicPartition]:
        return {at for at in self.log if at.topic == topic}


class Consumer:
    """One process's consumer. `positions` has the partitions that it believes to own; another may own them too."""

    def __init__(self, kafka: Kafka, process: Process) -> None:
        self.positions: dict[TopicPartition, int] = {}
        self._kafka = kafka
        self._process = process
        self._listener: ConsumerRebalanceListener | None = None

    @property
    def is_subscribed(self) -> bool:
        return self._listener is not None

    def subscribe(self, topics: Sequence[str], listener: ConsumerRebalanceListener) -> None:
        self._listener = listener

    async def rebalance(self, owned: Iterable[TopicPartition]) -> None:
        """What the group coordinator does: calls the listener, which may not have changed positions when records arrive."""
        assert self._listener is not None
        await self._listener.on_partitions_revoked([*self.positions])
        self.positions = {at: self._kafka.committed.get(at, 0) for at in owned}
        await self._listener.on_partitions_assigned([*self.positions])

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        self.positions = dict.fromkeys(partitions, 0)

    def assignment(self) -> Collection[TopicPartition]:
        return self.positions.keys()  # not a set: its order would not follow from the seed

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {at.partition for at in self._kafka.partitions(topic)}

    def pause(self, *_: TopicPartition) -> None: ...

    def resume(self, *_: TopicPartition) -> None: ...

    def seek(self, at: TopicPartition, offset: int) -> None:
        self.positions[at] = offset

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {at: self._kafka.begins.get(at, 0) for at in partitions}

    async def position(self, at: TopicPartition) -> int:
        if self.is_subscribed and self._kafka.world.chance.random() < 10 * self._kafka.error_rate:
            raise IllegalStateError(f"{at} is not assigned just now")
        return self.positions[at]

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return await self._kafka.world.reach(self._process, lambda: {at: len(self._kafka.log[at]) for at in partitions})

    async def offsets_for_times(
        self, times: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        def find(at: TopicPartition, from_ms: int) -> OffsetAndTimestamp | None:
            records = (record for record in self._kafka.log[at] if record.timestamp >= from_ms)
            found = next(records, None)
            return found and OffsetAndTimestamp(found.offset, found.timestamp)

        return await self._kafka.world.reach(
            self._process, lambda: {at: find(at, from_ms) for at, from_ms in times.items()}
        )

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[FakeRecord]]:
        fetched = await self._kafka.world.reach(self._process, lambda: self._take(partitions, max_records))
        if not fetched:
            await asyncio.sleep(timeout_ms / 1000)
        return fetched

    def _take(self, partitions: Sequence[TopicPartition], at_most: int) -> dict[TopicPartition, list[FakeRecord]]:
        fetched = {}
        for at in partitions or [*self.positions]:
            if at not in self.positions:
                continue
            begins = self.positions[at]
            records = self._kafka.log[at][begins : begins + self._kafka.world.chance.randint(1, at_most)]
            self.positions[at] = begins + len(records)
            if records := [record for record in records if not is_marker(record)]:
                fetched[at] = records
        return fetched

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        await self._kafka.world.reach(self._process, lambda: self._commit(offsets))

    def _commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self._kafka.world.chance.random() < self._kafka.error_rate:
            raise CommitFailedError("injected fault")
        self._kafka.committed.update(offsets)


class Producer:
    """Acknowledges a message, or fails before or after it is in the log."""

    def __init__(self, kafka: Kafka, process: Process) -> None:
        self._kafka = kafka
        self._process = process

    async def send(
        self, topic: str, value: bytes | None, *, key: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Awaitable[None]:
        def arrive() -> None:
            roll, error_rate = self._kafka.world.chance.random(), self._kafka.error_rate
            if roll < error_rate / 2:
                raise KafkaConnectionError("injected fault")
            self._kafka.log.setdefault(TopicPartition(topic, 0), []).append((key, value))
            if roll < error_rate:
                raise KafkaConnectionError("injected fault")

        return asyncio.ensure_future(self._kafka.world.reach(self._process, arrive))
