"""Decoded usage as columns: one numpy array per field, one row per record."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregator.domain.columns.heads import Heads
from aggregator.domain.record import Record


@dataclass(frozen=True, slots=True)
class UsageColumns:
    """Usage of any number of partitions, in the order of its fetch; in each partition by ascending offset.

    Every row is valid usage inside its time window, and never a correction. Each array has the length of `records`.
    """

    heads: Heads
    """The heads that `head` refers to."""
    records: Sequence[Record]
    """The records, for what needs the exact path, a dead letter or the quarantine."""
    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    received_ms: NDArray[np.int64]
    """Append time in milliseconds since 1970."""
    head: NDArray[np.int32]
    """Number of the head: series, agent and unit (see Heads)."""
    identity: NDArray[np.void]
    """identity_of() of each event, 16 bytes (dtype V16)."""
    ledger_bucket: NDArray[np.int32]
    """bucket_of() of each id: the ledger partition unless the ledger lacks that day."""
    occurred_us: NDArray[np.int64]
    """Event time in microseconds since 1970, exact."""
    amount: NDArray[np.int64]
    """Millionths of credits, or of the head's unit if it has one; 1 to 10^15 - 1."""
    attribution: NDArray[np.int32]
    """Number of the attribution (see Heads), or NO_ATTRIBUTION."""
    run: NDArray[np.void]
    """run_identity_of() of each run, 16 bytes (dtype V16); zeros if the use has no run."""
    run_ids: NDArray[np.object_]
    """Ids of the run and of its parent (None: not given), in ASCII; None if the use has no run."""

    def __len__(self) -> int:
        return len(self.records)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer[Any]]) -> "UsageColumns":
        """The rows of a mask, or of an index in its order."""
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        records = self.records
        taken = {name: getattr(self, name)[index] for name in _ARRAYS}
        return replace(self, records=[records[row] for row in index.tolist()], **taken)

    @property
    def has_run(self) -> NDArray[np.bool_]:
        """A mask of the rows of runs."""
        mask: NDArray[np.bool_] = self.run_ids != None  # noqa: E711 - by element
        return mask

    def of_organizations(self, names: Collection[str]) -> NDArray[np.bool_]:
        """A mask of the rows of these organizations."""
        numbers = np.unique(self.head)
        chosen = [self.heads.series[number][0] in names for number in numbers.tolist()]
        return np.isin(self.head, numbers[np.array(chosen, np.bool_)])


_ARRAYS = tuple(field.name for field in fields(UsageColumns) if field.name not in ("heads", "records"))
_TYPES = {
    "partition": "i4", "offset": "i8", "received_ms": "i8", "head": "i4", "identity": "V16", "ledger_bucket": "i4",
    "occurred_us": "i8", "amount": "i8", "attribution": "i4", "run": "V16", "run_ids": "O",
}  # fmt: skip


def last_places(parts: Sequence[UsageColumns], most: int) -> list[tuple[int, int]]:
    """Partition and offset of the last `most` rows, ordered by them."""
    if not parts:
        return []
    partition = np.concatenate([part.partition for part in parts])
    offset = np.concatenate([part.offset for part in parts])
    last = np.lexsort((offset, partition))[-most:]
    return list(zip(partition[last].tolist(), offset[last].tolist(), strict=True))


def empty_columns(heads: Heads) -> UsageColumns:
    return UsageColumns(heads, [], **{name: np.zeros(0, dtype) for name, dtype in _TYPES.items()})


def concatenate(parts: Sequence[UsageColumns]) -> UsageColumns:
    """The rows of all parts, in their order. The parts have the same Heads; there is at least one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    assert all(part.heads is first.heads for part in parts)
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    return UsageColumns(first.heads, [*chain.from_iterable(part.records for part in parts)], **joined)


def heads_of(parts: Sequence[UsageColumns]) -> NDArray[np.int32]:
    """The distinct heads of the rows."""
    return np.unique(np.concatenate([part.head for part in parts])) if parts else np.zeros(0, np.int32)
