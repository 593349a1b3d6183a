"""Consumers read records whatever bytes their header names have."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from runtime.kafka.clients import open_consumer, open_producer
from runtime.kafka.header_names import FetchedRecords
from support.data.header_names import ODD_NAME, READ_NAME, ZSTD, AsBytes, send_with_odd_header
from support.infra.stack import Topics


async def test_a_header_name_that_is_not_utf_8_stops_no_partition(topics: Topics) -> None:
    topic, records = topics.usage_events, []
    async with open_producer(topics.bootstrap, "test") as producer:
        await producer.send_and_wait(topic, b"0", partition=0, headers=[("traceparent", b"x")])
        await send_with_odd_header(topics.bootstrap, topic, [b"1", b"2"])
        await producer.send_and_wait(topic, b"3", partition=0)
        await send_with_odd_header(topics.bootstrap, topic, [b"4", b"5"], compression=ZSTD)
        await producer.send_and_wait(topic, b"6", partition=0, headers=[("umlaut-ü", None)])
    async with open_consumer(topics.bootstrap, "test", group=topic) as consumer, asyncio.timeout(20):
        consumer.subscribe([topic])
        while len(records) < 7:
            for found in (await consumer.getmany(timeout_ms=500, max_records=2)).values():
                records += found
        [at] = {at for at in consumer.assignment() if at.partition == 0}
        assert await consumer.position(at) == 7
    assert [record.value for record in records] == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
    assert [record.offset for record in records] == list(range(7))
    odd = (("a", b"1"), (READ_NAME, b"2"))
    assert [record.headers for record in records] == [
        (("traceparent", b"x"),), odd, odd, (), odd, odd, (("umlaut-ü", None),)
    ]  # fmt: skip


def batch(name: str) -> bytes:
    builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, 0, 1024)
    builder.append(0, 1, b"k", b"v", [("a", b"1")])
    builder.append(1, 1, b"k", b"v", [(name, b"1")])
    return bytes(builder.build())


def read(data: bytes) -> list[Any]:
    fetched, records = FetchedRecords(data), []
    while fetched.has_next():
        records += fetched.next_batch()
    return records


def test_only_a_batch_with_such_a_name_is_read_twice() -> None:
    """The caller skips offsets that it has, as aiokafka's PartitionRecords does for the records before a position."""
    good, odd = batch("b"), batch(AsBytes())
    assert [record.headers[0][0] for record in read(good + odd + good)] == ["a", "b", "a", "a", READ_NAME, "a", "b"]


def test_a_corrupt_batch_is_still_refused() -> None:
    data = bytearray(batch("b"))
    data[-4] += 1  # the length of a header's name
    with pytest.raises(CorruptRecordException):
        read(bytes(data))
    assert ODD_NAME.decode(errors="backslashreplace") == READ_NAME
