"""The result of recounting a range of the log."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aggregator.domain.rollup import Rollups, empty_rollups

CONTRADICTIONS_SHOWN = 20


@dataclass
class Recount:
    """The result of recounting. A contradiction is a record whose disposition the ledger lacks, or records
    differently."""

    rollups: Rollups = field(default_factory=empty_rollups)
    records: int = 0
    counted: Counter[int] = field(default_factory=Counter)
    """Number of counted records by organization."""
    held: int = 0
    duplicate: int = 0
    rejected: int = 0
    contradictions: int = 0
    shown: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Organizations that are left out because their data causes a failure, and the failure."""

    def take_over(self, part: "Recount") -> None:
        """Add the numbers and sums of a part."""
        tables: Iterable[tuple[dict[Any, list[int]], dict[Any, list[int]]]] = zip(
            self.rollups, part.rollups, strict=True
        )
        for into, cells in tables:
            for key, (credits, events) in cells.items():
                cell = into.setdefault(key, [0, 0])
                cell[0] += credits
                cell[1] += events
                if cell == [0, 0]:
                    del into[key]
        self.counted.update(part.counted)
        self.held += part.held
        self.duplicate += part.duplicate
        self.rejected += part.rejected
        self.contradictions += part.contradictions
        self.shown += part.shown[: CONTRADICTIONS_SHOWN - len(self.shown)]

    def forget(self, organization_id: int) -> None:
        """Remove the sums of an organization."""
        del self.counted[organization_id]
        tables: Iterable[dict[Any, Any]] = self.rollups
        for cells in tables:
            for key in [key for key in cells if key[0] == organization_id]:
                del cells[key]

    def contradict(self, text: str) -> None:
        self.contradictions += 1
        if len(self.shown) < CONTRADICTIONS_SHOWN:
            self.shown.append(text)
