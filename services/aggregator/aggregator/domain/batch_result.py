"""The result of counting a batch. Pure."""

from collections import Counter
from dataclasses import dataclass, field

from aggregator.domain.counting.counts import ColumnCounts
from aggregator.domain.decode import Rejection, UsageRecord
from aggregator.domain.people.runs import Runs
from aggregator.domain.record import Record
from aggregator.domain.rollup import Decision, Rollups, empty_rollups


@dataclass
class BatchResult:
    """The dispositions of a batch's records. `step` names the present step, for the report of a failure."""

    step: str = "reading"

    next_offsets: dict[int, int] = field(default_factory=dict)
    records_end: dict[int, int | None] = field(default_factory=dict)
    """By partition, the offset after the last record; None when only offsets without a record were passed."""
    counted: list[Decision] = field(default_factory=list)
    held: list[Decision] = field(default_factory=list)
    columns: ColumnCounts = field(default_factory=ColumnCounts)
    """What became of the columns. The lists beside it have what the exact path read."""
    duplicates: list[UsageRecord] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    rollups: Rollups = field(default_factory=empty_rollups)
    runs: Runs = field(default_factory=dict)
    quarantined: list[Record] = field(default_factory=list)
    skipped: Counter[int] = field(default_factory=Counter)
    """By partition, the number of offsets without a record."""
    replayed: int = 0

    @property
    def counted_number(self) -> int:
        return len(self.counted) + self.columns.counted.total()

    @property
    def duplicate_number(self) -> int:
        return len(self.duplicates) + self.columns.duplicates.total()
