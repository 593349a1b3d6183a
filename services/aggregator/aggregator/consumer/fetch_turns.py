"""Fetches from the assigned partitions in turn, so that none waits for the backlog of another."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from aggregator.domain.record import Record

FRESH_WAIT_MS = 20
FEW = 2_000
"""Records below which a fetch asks the broker once more: no backlog then."""


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

    async def fetch(self, wait_ms: int, max_records: int) -> dict[TopicPartition, list[Record]]:
        """At most `max_records` records by partition; empty when none came within the wait. A partition that fails does
        not keep back the records of others: the next call raises its error."""
        if self._failure is not None:
            raise self._failure
        assigned = self._consumer.assignment()
        self._turns = [at for at in self._turns if at in assigned]
        self._turns += [at for at in assigned if at not in self._turns]
        fetched: dict[TopicPartition, list[Record]] = {}
        left = max_records
        for at in self._turns:
            if left == 0:
                break
            try:
                fetched.update(await self._consumer.getmany(at, timeout_ms=0, max_records=left))
            except Exception as error:
                self._failure = self._failure or error
            left = max_records - sum(map(len, fetched.values()))
        if self._failure is not None and not fetched:
            raise self._failure
        if not fetched:
            fetched = await self._consumer.getmany(timeout_ms=wait_ms, max_records=max_records)
        elif max_records - left < min(FEW, max_records) and self._failure is None:
            await self._add_fresh(fetched, left)
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
