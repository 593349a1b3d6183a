"""Stops counting when most records of several sources are unreadable, so that a bad deploy does not dead-letter
everything. Pure."""

import json
from collections import deque

from aggregator.domain.columns.usage_columns import last_places
from aggregator.domain.decode import DecodedBatch, Kind
from aggregator.domain.record import Record


class DeadLetterLimitExceeded(Exception):
    """Most records of several sources are unreadable. Counting stops, so that a bad deploy does not dead-letter
    everything."""


class DeadLetterLimit:
    """Checks the last `size` records: `check` raises when more than half are unreadable, from at least `sources_min`
    sources."""

    def __init__(self, size: int = 1000, sources_min: int = 3) -> None:
        self._failed: deque[str | None] = deque(maxlen=size)  # the sender of an unreadable record, None for a good one
        self._size = size
        self._sources_min = sources_min

    def check(self, batch: DecodedBatch) -> None:
        if not batch.rejections and not any(self._failed):
            return
        outcomes: list[tuple[int, int, str | None]] = [
            (use.partition, use.offset, None) for use in (*batch.uses, *batch.corrections)
        ]
        outcomes += [(partition, offset, None) for partition, offset in last_places(batch.columns, self._size)]
        outcomes += [
            (at.record.partition, at.record.offset, _sender(at.record) if at.kind is Kind.UNREADABLE else None)
            for at in batch.rejections
        ]
        self._failed.extend(sender for _, _, sender in sorted(outcomes, key=lambda result: result[:2]))
        senders = [sender for sender in self._failed if sender is not None]
        if self._failed.maxlen and len(senders) * 2 > self._failed.maxlen and len(set(senders)) >= self._sources_min:
            raise DeadLetterLimitExceeded(
                f"{len(senders)} of the last {len(self._failed)} records cannot be read, from {len(set(senders))} sources."
                " Nothing of this batch was applied. Fix the codec or the producers; DEAD_LETTER_LIMIT=off dead-letters them all."
            )


def _sender(record: Record) -> str:
    """The sender of an unreadable record: its `source` if it is JSON, else the product in its key."""
    try:
        source = json.loads(record.value or b"")["source"]
    except (ValueError, RecursionError, TypeError, KeyError):
        parts = (record.key or b"").decode(errors="replace").split("|")
        source = parts[1] if len(parts) > 1 else parts[0]
    return str(source)
