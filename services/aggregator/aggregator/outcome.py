"""What becomes of a batch, and what may keep it from being counted."""

from dataclasses import dataclass, field

from aggregator.reading import Rejection, Use
from aggregator.rollup import Decision, Rollups, empty_rollups


class Overtaken(Exception):
    """Another aggregator applied facts, or claimed a correction, after this batch was decided; decide it again."""


class OffsetGap(Exception):
    """Records between Postgres' position and the log are missing: counting on would lose them silently."""


@dataclass
class Outcome:
    """What became of a batch's records."""

    next_offsets: dict[int, int] = field(default_factory=dict)
    counted: list[Decision] = field(default_factory=list)
    held: list[Decision] = field(default_factory=list)
    duplicates: list[Use] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    rollups: Rollups = field(default_factory=empty_rollups)
    replayed: int = 0
