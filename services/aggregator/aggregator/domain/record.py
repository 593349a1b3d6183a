"""A record of a Kafka topic, as the domain sees it."""

from collections.abc import Sequence
from typing import Protocol


class Record(Protocol):
    """The parts of a Kafka record that we read; `timestamp` is its append time in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
