"""Fetches from the assigned partitions in turn, so that none waits for the backlog of another."""

from collections.abc import Iterable
from math import inf

from aiokafka import AIOKafkaConsumer, TopicPartition

from aggregator.domain.record import Record

FRESH_WAIT_MS = 20
FEW = 2_000
"""Records below which a fetch asks the broker once more: no backlog then."""
AT_ONCE = 500
"""Records that the client is asked for at once. Their size is known only then: a batch may be this much larger."""


class FetchTurns:
    """Serves first the partition that was served least recently.

    aiokafka fetches ahead once, and again only when that was taken: what it holds is as old as the last call. Without a
    backlog the broker is therefore asked once more, so that records do not wait for the next batch.

    aiokafka's getmany() without arguments hands out everything that it holds of one partition before the next one. That
    is up to max_partition_fetch_bytes before decompression, which took more than a minute on a busy machine.
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._turns: list[TopicPartition] = []
        self._failure: Exception | None = None

    async def fetch(self, wait_ms: int, max_records: int, max_bytes: float = inf) -> dict[TopicPartition, list[Record]]:
        """At most `max_records` records by partition, and none after `max_bytes` bytes; empty when none came within the
        wait. A partition that fails does not keep back the records of others: the next call raises its error."""
        if self._failure is not None:
            raise self._failure
        assigned = self._consumer.assignment()
        self._turns = [at for at in self._turns if at in assigned]
        self._turns += [at for at in assigned if at not in self._turns]
        fetched: dict[TopicPartition, list[Record]] = {}
        left, room = max_records, max_bytes
        for at in self._turns:
            more = True
            while more and left > 0 and room > 0:
                try:
                    wanted = min(left, AT_ONCE)
                    records = (await self._consumer.getmany(at, timeout_ms=0, max_records=wanted)).get(at, [])
                except Exception as error:
                    self._failure = self._failure or error
                    break
                if records:
                    fetched.setdefault(at, []).extend(records)
                left, room, more = left - len(records), room - size_of(records), len(records) == wanted
        if self._failure is not None and not fetched:
            raise self._failure
        if not fetched:
            fetched = await self._consumer.getmany(timeout_ms=wait_ms, max_records=min(FEW, max_records))
        elif max_records - left < min(FEW, max_records) and room > 0 and self._failure is None:
            await self._add_fresh(fetched, min(FEW, left))
        self._turns.sort(key=fetched.__contains__)  # stable: served partitions go to the end
        return fetched

    async def _add_fresh(self, fetched: dict[TopicPartition, list[Record]], max_records: int) -> None:
        try:
            fresh = await self._consumer.getmany(timeout_ms=FRESH_WAIT_MS, max_records=max_records)
        except Exception as error:
            self._failure = error
            return
        for at, records in fresh.items():
            known = fetched.setdefault(at, [])
            # A position that was moved back in the meantime delivers records again.
            last = known[-1].offset if known else -1
            known.extend(record for record in records if record.offset > last)


def size_of(records: Iterable[Record]) -> int:
    """Bytes of the values of records."""
    return sum(len(record.value or b"") for record in records)
