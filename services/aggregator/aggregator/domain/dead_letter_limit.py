"""Stops counting when most records of several sources are unreadable, so that a bad deploy does not dead-letter
everything. Pure."""

import json
from collections import deque
from typing import NamedTuple

from aggregator.domain.columns.usage_columns import last_places
from aggregator.domain.decode import DecodedBatch, Kind, Rejection


class DeadLetterLimitExceeded(Exception):
    """Most records of several sources are unreadable. Counting stops, so that a bad deploy does not dead-letter
    everything."""


class DeadLetterLimit:
    """Checks the last `size` records: `check` raises when more than half are unreadable, from at least `sources_min`
    sources. What one organization of several sends stops no one else: its records become dead letters."""

    def __init__(self, size: int = 1000, sources_min: int = 3) -> None:
        self._failed: deque[_Sender | None] = deque(maxlen=size)
        """The sender of an unreadable record, None for a good one."""
        self._size = size
        self._sources_min = sources_min

    def check(self, batch: DecodedBatch, *, has_several: bool) -> None:
        """`has_several`: whether the deployment has several organizations. Raises DeadLetterLimitExceeded."""
        if not batch.rejections and not any(self._failed):
            return
        outcomes: list[tuple[int, int, _Sender | None]] = [
            (use.partition, use.offset, None) for use in (*batch.uses, *batch.corrections)
        ]
        outcomes += [(partition, offset, None) for partition, offset in last_places(batch.columns, self._size)]
        outcomes += [
            (at.record.partition, at.record.offset, _sender(at) if at.kind is Kind.UNREADABLE else None)
            for at in batch.rejections
        ]
        self._failed.extend(sender for _, _, sender in sorted(outcomes, key=lambda result: result[:2]))
        senders = [sender for sender in self._failed if sender is not None]
        sources, organizations = ({sender[at] for sender in senders} for at in (0, 1))
        is_deploy = len(sources) >= self._sources_min and (len(organizations) > 1 or not has_several)
        if is_deploy and len(senders) * 2 > self._size:
            raise DeadLetterLimitExceeded(
                f"{len(senders)} of the last {len(self._failed)} records cannot be read, from {len(sources)} sources."
                " Nothing of this batch was applied. Fix the codec or the producers; DEAD_LETTER_LIMIT=off dead-letters them all."
            )


class _Sender(NamedTuple):
    source: str
    organization: str


def _sender(rejection: Rejection) -> _Sender:
    """The sender of an unreadable record: `source` and `subject` if it is JSON, else the product and organization in its
    key."""
    organization, _, rest = (rejection.record.key or b"").decode(errors="replace").partition("|")
    try:
        source = str(json.loads(rejection.record.value or b"")["source"])
    except (ValueError, RecursionError, TypeError, KeyError):
        source = rest.partition("|")[0] or organization
    return _Sender(source, rejection.who[0] if rejection.who else organization)
