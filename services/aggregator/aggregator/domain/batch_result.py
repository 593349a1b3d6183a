"""What becomes of a batch. Pure."""

from collections import Counter
from dataclasses import dataclass, field

from aggregator.domain.decode import Record, Rejection, UsageRecord
from aggregator.domain.rollup import Decision, Rollups, empty_rollups


@dataclass
class BatchResult:
    """What became of a batch's records. `step` is what is being done with them, for who sees it fail."""

    step: str = "reading"

    next_offsets: dict[int, int] = field(default_factory=dict)
    records_end: dict[int, int | None] = field(default_factory=dict)
    """By partition, the offset after the last record; None where only offsets without one were passed."""
    counted: list[Decision] = field(default_factory=list)
    held: list[Decision] = field(default_factory=list)
    duplicates: list[UsageRecord] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    rollups: Rollups = field(default_factory=empty_rollups)
    quarantined: list[Record] = field(default_factory=list)
    skipped: Counter[int] = field(default_factory=Counter)
    """By partition, offsets that hold no record."""
    replayed: int = 0
