"""Offsets that were skipped without a record, and the log's first offset in Kafka."""

from typing import Any

import pytest
from aggregator.db.progress import OffsetGap
from aggregator.topic_identity import find_passed
from aiokafka import TopicPartition
from simulation.kafka import Consumer, Kafka
from simulation.world import Process, World
from support.data.factories import records

AT = TopicPartition("usage.events.v1", 0)


async def passed(kept_from: int) -> list[tuple[int, int, int]]:
    """Offsets 10 to 14 were delivered, 15 is a marker, and the log now begins at `kept_from`."""
    kafka = Kafka(World(0))
    kafka.begins[AT] = kept_from
    consumer: Any = Consumer(kafka, Process("first"))
    return await find_passed(consumer, AT, 10, 16, records([None] * 5, first=10))


@pytest.mark.parametrize("kept_from", [0, 10, 12, 15])
async def test_retention_may_take_what_was_delivered(kept_from: int) -> None:
    assert await passed(kept_from) == [(0, 15, 16)]


async def test_retention_that_took_an_offset_without_a_record_took_records_perhaps() -> None:
    with pytest.raises(OffsetGap, match="expects offset 15, Kafka delivers up to 16 and holds what is from 17 on"):
        await passed(17)
