"""Fair fetching from many partitions, with a client that hands out one partition after another, and with Kafka."""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from aggregator.consumer.fetch_turns import FetchTurns
from aiokafka import TopicPartition
from runtime.kafka.clients import open_consumer, open_producer
from support.infra.service_process import eventually
from support.infra.stack import Topics

PARTITIONS = [TopicPartition("usage", number) for number in range(4)]


class At(NamedTuple):
    """A record, as far as fetching reads it."""

    offset: int
    value: bytes = b""


class Greedy:
    """Buffers as aiokafka's fetcher does: it hands out all of one partition before the next."""

    def __init__(self, buffered: dict[int, Iterable[int]], failing: Iterable[int] = ()) -> None:
        self.buffered = {PARTITIONS[at]: [*map(At, offsets)] for at, offsets in buffered.items()}
        self.failing = {PARTITIONS[at] for at in failing}
        self.assigned = [*PARTITIONS]
        self.arriving: dict[TopicPartition, list[At]] = {}
        self.waits = 0

    def assignment(self) -> list[TopicPartition]:
        return self.assigned

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> dict[Any, list[At]]:
        assert max_records > 0
        self.waits += timeout_ms > 0
        if timeout_ms > 0:
            self.buffered.update(self.arriving)
        fetched = {}
        for at, offsets in self.buffered.items():
            if max_records == 0 or (partitions and at not in partitions):
                continue
            if at in self.failing:
                raise ValueError(f"{at.partition} is corrupt")
            if taken := offsets[:max_records]:
                fetched[at], offsets[:max_records] = taken, []
                max_records -= len(taken)
        return fetched


def turns(consumer: Any) -> FetchTurns:
    return FetchTurns(consumer)


def offsets(records: Iterable[Any]) -> list[int]:
    return [record.offset for record in records]


async def test_each_partition_has_its_turn_and_a_batch_stays_within_its_limit() -> None:
    fetching = turns(Greedy({at: range(100) for at in range(4)}))
    batches = [await fetching.fetch(200, 10) for _ in range(8)]
    assert [[at.partition for at in batch] for batch in batches] == [[0], [1], [2], [3]] * 2
    assert {len(records) for batch in batches for records in batch.values()} == {10}


async def test_a_batch_ends_with_its_bytes_and_each_partition_still_has_its_turn() -> None:
    consumer = Greedy({at: [] for at in range(4)})
    consumer.buffered = {at: [At(offset, b"x" * 1_000) for offset in range(2_000)] for at in PARTITIONS}
    fetching = turns(consumer)
    batches = [await fetching.fetch(200, 10_000, 600_000) for _ in range(8)]
    assert [[at.partition for at in batch] for batch in batches] == [[0], [1], [2], [3]] * 2
    assert {len(records) for batch in batches for records in batch.values()} == {1_000}
    assert consumer.waits == 0


async def test_small_partitions_share_a_batch_and_the_large_one_waits_for_none() -> None:
    fetching = turns(Greedy({0: range(1000), 1: range(3), 2: [], 3: range(4)}))
    batches = [await fetching.fetch(200, 10) for _ in range(3)]
    assert [{at.partition: len(records) for at, records in batch.items()} for batch in batches] == [
        {0: 10}, {1: 3, 3: 4, 0: 3}, {0: 10},
    ]  # fmt: skip


async def test_a_full_batch_waits_for_nothing() -> None:
    consumer = Greedy({0: range(10)})
    fetching = turns(consumer)
    assert await fetching.fetch(200, 10)
    assert consumer.waits == 0
    assert await fetching.fetch(200, 10) == {}
    assert consumer.waits == 1


async def test_records_that_arrived_after_the_last_fetch_are_in_the_batch() -> None:
    consumer = Greedy({0: range(2), 1: range(3)})
    consumer.arriving = {PARTITIONS[0]: [At(2), At(3)], PARTITIONS[2]: [At(0)]}
    fetched = await turns(consumer).fetch(200, 10)
    assert {at.partition: offsets(records) for at, records in fetched.items()} == {
        0: [0, 1, 2, 3],
        1: [0, 1, 2],
        2: [0],
    }
    assert consumer.waits == 1


async def test_records_that_are_delivered_again_are_in_the_batch_once() -> None:
    consumer = Greedy({0: range(3)})
    consumer.arriving = {PARTITIONS[0]: [*map(At, range(1, 5))]}
    fetched = await turns(consumer).fetch(200, 10)
    assert offsets(fetched[PARTITIONS[0]]) == [0, 1, 2, 3, 4]


async def test_an_error_of_the_second_fetch_keeps_the_records_of_the_first() -> None:
    class Failing(Greedy):
        async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> dict[Any, list[At]]:
            if timeout_ms:
                raise ValueError("the broker is gone")
            return await super().getmany(*partitions, timeout_ms=timeout_ms, max_records=max_records)

    fetching = turns(Failing({0: range(2)}))
    assert offsets((await fetching.fetch(200, 10))[PARTITIONS[0]]) == [0, 1]
    with pytest.raises(ValueError, match="the broker is gone"):
        await fetching.fetch(200, 10)


async def test_a_revoked_partition_loses_its_turn_and_a_new_one_gets_one() -> None:
    consumer = Greedy({at: range(100) for at in range(4)})
    consumer.assigned = PARTITIONS[:2]
    fetching = turns(consumer)
    assert [[at.partition for at in await fetching.fetch(200, 10)] for _ in range(2)] == [[0], [1]]
    consumer.assigned = PARTITIONS[1:]
    served = [[at.partition for at in await fetching.fetch(200, 10)] for _ in range(3)]
    assert sorted(served) == [[1], [2], [3]]


async def test_a_partition_that_fails_keeps_back_no_record_of_others() -> None:
    fetching = turns(Greedy({at: range(4) for at in range(4)}, failing=[0]))
    assert {at.partition: len(records) for at, records in (await fetching.fetch(200, 100)).items()} == {
        1: 4,
        2: 4,
        3: 4,
    }
    with pytest.raises(ValueError, match="0 is corrupt"):
        await fetching.fetch(200, 100)
    with pytest.raises(ValueError, match="0 is corrupt"):
        await turns(Greedy({0: range(4)}, failing=[0])).fetch(200, 100)


async def test_no_partition_of_a_real_log_stands_while_the_others_move(topics: Topics) -> None:
    """All partitions fit into one fetch of the client, which alone would hand out one after another."""
    names = [TopicPartition(topics.usage_events, number) for number in range(4)]
    async with open_producer(topics.bootstrap, "test") as producer:
        sent = [await producer.send(at.topic, b"x" * 50, partition=at.partition) for at in names for _ in range(2_000)]
        await asyncio.gather(*sent)
    async with open_consumer(topics.bootstrap, "test") as consumer:
        consumer.assign(names)
        fetching, counted, spread = turns(consumer), dict.fromkeys(names, 0), 0
        async with asyncio.timeout(60):
            while sum(counted.values()) < 8_000:
                for at, records in (await fetching.fetch(200, 100)).items():
                    counted[at] += len(records)
                spread = max(spread, max(counted.values()) - min(counted.values()))
    assert set(counted.values()) == {2_000}
    assert spread < 1_000, counted


async def test_a_batch_of_a_real_log_has_what_arrived_since_the_client_fetched_ahead(topics: Topics) -> None:
    at = TopicPartition(topics.usage_events, 0)
    async with open_producer(topics.bootstrap, "test") as producer, open_consumer(topics.bootstrap, "test") as consumer:
        consumer.assign([at])
        await consumer.seek_to_beginning(at)
        for _ in range(2):
            await producer.send_and_wait(at.topic, b"x", partition=0)
            await eventually(lambda: consumer.highwater(at) == 1, what="the first record fetched ahead")
        fetched = await turns(consumer).fetch(200, 10)
    assert [record.offset for record in fetched[at]] == [0, 1]
