"""What becomes of a batch, and what may keep it from being counted."""

from collections import Counter
from dataclasses import dataclass, field

from runtime.isolation import Shared

from aggregator.reading import Record, Rejection, Use
from aggregator.rollup import Decision, Rollups, empty_rollups


class Overtaken(Shared):
    """Another aggregator applied facts, or claimed a correction, after this batch was decided; decide it again."""


class OffsetGap(Shared):
    """Records between Postgres' position and the log are missing: counting on would lose them silently."""


class ProofBroken(Shared):
    """The fates of a partition's offsets do not come out: a defect of our accounting, found before it was committed."""


@dataclass
class Outcome:
    """What became of a batch's records. `step` is what is being done with them, for who sees it fail."""

    step: str = "reading"

    next_offsets: dict[int, int] = field(default_factory=dict)
    records_end: dict[int, int | None] = field(default_factory=dict)
    """By partition, the offset after the last record; None where only offsets without one were passed."""
    counted: list[Decision] = field(default_factory=list)
    held: list[Decision] = field(default_factory=list)
    duplicates: list[Use] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    rollups: Rollups = field(default_factory=empty_rollups)
    quarantined: list[Record] = field(default_factory=list)
    skipped: Counter[int] = field(default_factory=Counter)
    """By partition, offsets that hold no record."""
    replayed: int = 0
