"""What became of the columns of a batch. Pure."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aggregator.domain.columns.usage_columns import UsageColumns
from aggregator.domain.counting.cells import group

_HOUR_MS = 3_600_000
Hours = Counter[tuple[int, float]]
"""Numbers of records by partition and hour of receipt since 1970."""


@dataclass
class ColumnCounts:
    """The rows that counted and those that are duplicates."""

    counted: Hours = field(default_factory=Counter)
    duplicates: Hours = field(default_factory=Counter)
    received_ms: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Append times of the rows that counted."""


def count_hours(columns: UsageColumns, rows: NDArray[np.intp]) -> Hours:
    hour = columns.received_ms[rows] // _HOUR_MS
    partition = columns.partition[rows].astype(np.int64)
    (partitions, hours), [numbers] = group([partition, hour], np.ones(len(rows), np.int64))
    return Counter(dict(zip(zip(partitions.tolist(), hours.tolist(), strict=True), numbers.tolist(), strict=True)))
