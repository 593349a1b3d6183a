"""Computes the expected answers of the query API from events alone: no rollups, no SQL, no code of the services."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from support.invariants.directory import Directory, RunTotal, RunUse, Who, label, runs

Path = tuple[tuple[str, str], ...]
"""Kind and name of each row from the root to a leaf."""


class Counted(NamedTuple):
    """A counted usage event or correction. `agent` is "" if the event names none."""

    at: datetime
    product: str
    kind: str
    feature: str
    agent: str
    surface: str
    micro: int
    is_use: bool
    who: Who = Who()
    """A correction has that of its original."""


@dataclass
class Model:
    """`agents`: present state and name by id. `categories`: (own, from, value) in any order, by kind and feature. `names`: by kind and feature."""

    zone: ZoneInfo
    today: date
    counted: list[Counted]
    agents: dict[str, tuple[str, str]]
    categories: dict[tuple[str, str], list[tuple[bool, date, str | None]]]
    names: dict[tuple[str, str], str]
    directory: Directory = field(default_factory=Directory)

    def within(self, first: date, last: date, *, keep: Callable[[Counted], bool] = lambda _: True) -> list[Counted]:
        return [use for use in self.counted if first <= self.day(use) <= last and keep(use)]

    def day(self, use: Counted) -> date:
        return use.at.astimezone(self.zone).date()

    def category(self, use: Counted, *, as_now: bool = False) -> str | None:
        on = self.today if as_now else self.day(use)
        periods = [period for period in self.categories.get((use.kind, use.feature), []) if period[1] <= on]
        own = [period for period in periods if period[0]]
        return max(own or periods, key=lambda period: period[1])[2] if periods else None

    def path(self, view: str, use: Counted, *, as_now: bool = False) -> Path:
        steps = []
        category = self.category(use, as_now=as_now) if view in ("tools", "other_features", "features") else None
        if category is not None:
            steps.append(("category", category))
        if view != "agents":
            steps.append((use.kind, self.names.get((use.kind, use.feature), use.feature)))
        if use.agent and view in ("other_features", "features", "agents"):
            state, name = self.agents[use.agent]
            if state == "unsaved":
                steps.append(("unsaved", "Unsaved workflows"))
            else:
                steps += [("deleted", "Deleted agents"), ("agent", name)] if state == "deleted" else [(state, name)]
        return tuple(steps)

    def leaves(self, view: str, uses: Iterable[Counted], *, as_now: bool = False) -> dict[Path, tuple[int, int]]:
        """Micro-credits and number of uses of each row that has usage of its own, without its children's."""
        sums: dict[Path, list[int]] = defaultdict(lambda: [0, 0])
        for use in uses:
            cell = sums[self.path(view, use, as_now=as_now)]
            cell[0] += use.micro
            cell[1] += use.is_use
        return {path: (micro, uses) for path, (micro, uses) in sums.items()}

    def who_row(self, view: str, use: Counted, *, as_now: bool = False) -> tuple[str, str]:
        """Kind and id of the row of a view: person, group, or the key of a label."""
        if view == "person":
            return self.directory.person(use.who)
        if view == "group":
            return self.directory.group(use.who, self.day(use), self.today if as_now else None)
        return label(use.who, view)

    def by_who(
        self, view: str, uses: Iterable[Counted], *, as_now: bool = False
    ) -> dict[tuple[str, str], tuple[int, int]]:
        """Micro-credits and number of uses of each row; groups without those below them."""
        sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        for use in uses:
            cell = sums[self.who_row(view, use, as_now=as_now)]
            cell[0] += use.micro
            cell[1] += use.is_use
        return {row: (micro, number) for row, (micro, number) in sums.items()}

    def runs(self) -> dict[str, RunTotal]:
        return runs(RunUse(use.at, use.agent, use.micro, use.is_use, use.who) for use in self.counted)


def total(uses: Iterable[Counted]) -> int:
    return sum(use.micro for use in uses)
