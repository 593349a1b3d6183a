"""Measures the decoding of usage alone, without Kafka and Postgres: `python tests/bench/counting/decoding.py [EVENTS]`.

It needs the aggregator's pure modules only, so that it runs on any Python that can install them.
"""

import gc
import statistics
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from aggregator.domain.columns.heads import Heads
from aggregator.domain.columns.read import read as read_columns
from aggregator.domain.decode import read_record
from aggregator.domain.record import Record

BATCH = 10_000
AS_THE_AGGREGATOR = 500_000
"""Its threshold of the cycle collector."""


class LogRecord:
    """A record as aiokafka returns it."""

    __slots__ = ("headers", "key", "offset", "partition", "timestamp", "topic", "value")

    def __init__(self, partition: int, offset: int, timestamp: int, key: bytes, value: bytes) -> None:
        self.topic, self.partition, self.offset, self.timestamp = "usage", partition, offset, timestamp
        self.key, self.value, self.headers = key, value, ()


def decode_in_columns(records: Sequence[Record], heads: Heads) -> int:
    """Decode as the aggregator does; returns how many of the records are usual usage."""
    usual, _rest = read_columns(records, heads)
    return len(usual)


def decode_one_by_one(records: Sequence[Record]) -> int:
    """Decode by the exact path, which unusual usage takes."""
    for record in records:
        read_record(record)
    return len(records)


def time_decoding(records: Sequence[Record]) -> float:
    """Processor seconds to decode usual usage of one partition, whose series are known, in batches."""
    heads = Heads()
    time_batches(records, lambda batch: decode_in_columns(batch, heads))
    return time_batches(records, lambda batch: decode_in_columns(batch, heads))


def time_batches(records: Sequence[Record], decode: Callable[[Sequence[Record]], int]) -> float:
    gc.collect()
    before, thresholds = time.process_time(), gc.get_threshold()
    gc.set_threshold(AS_THE_AGGREGATOR)
    decoded = sum(decode(records[start : start + BATCH]) for start in range(0, len(records), BATCH))
    seconds = time.process_time() - before
    gc.set_threshold(*thresholds)
    if decoded != len(records):
        raise SystemExit(f"{len(records) - decoded} of {len(records)} events were not decoded")
    return seconds


def generated_records(events: int) -> Iterator[LogRecord]:
    from counting.usage_log import Shape, UsageLog

    now = int(time.time() * 1000)
    for offset, (partition, key, value) in enumerate(UsageLog(Shape(partitions=1), events, 1)):
        yield LogRecord(partition, offset, now, key, value)


def bench_decode(events: int, runs: int) -> None:
    records = list(generated_records(events))
    gil = "no GIL" if sysconfig.get_config_var("Py_GIL_DISABLED") else "GIL"
    by_columns = [time_decoding(records) / events * 1e6 for _ in range(runs)]
    one_by_one = [time_batches(records, decode_one_by_one) / events * 1e6 for _ in range(runs)]
    print(
        f"Python {sys.version.split()[0]} ({gil}): decoding takes {statistics.median(by_columns):.2f} us of CPU per event"
        f" ({min(by_columns):.2f} to {max(by_columns):.2f}) in columns, {statistics.median(one_by_one):.2f} us"
        f" ({min(one_by_one):.2f} to {max(one_by_one):.2f}) one by one",
        flush=True,
    )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    bench_decode(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, 5)
