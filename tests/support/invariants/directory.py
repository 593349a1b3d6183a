"""Computes who used what from events alone: people, their groups on a day and today, removed people, the tree of groups."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

NO_GROUP, UNATTRIBUTED, REMOVED, NO_VALUE = "no group", "unattributed", "removed", "no value"


class Who(NamedTuple):
    """What usage says about its origin. "" and no labels: nothing."""

    actor: str = ""
    actor_kind: str = ""
    group: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    run: str = ""
    parent: str = ""

    @property
    def is_attributed(self) -> bool:
        return bool(self.actor or self.group or self.labels)


class ActorEvent(NamedTuple):
    """An event about an actor. `groups` of None: it does not mention them."""

    at: datetime
    actor: str
    groups: tuple[str, ...] | None = None
    effective_from: date | None = None
    removed: bool = False
    erased: bool = False


@dataclass
class Directory:
    """The events in any order: their times decide, and all of them differ. `parents` is the parent of each known group."""

    events: list[ActorEvent] = field(default_factory=list)
    parents: dict[str, str] = field(default_factory=dict)

    def is_removed(self, actor: str) -> bool:
        """Whether the latest event removes or erases the actor."""
        own = [event for event in self.events if event.actor == actor]
        latest = max(own, key=lambda event: event.at, default=None)
        return latest is not None and (latest.removed or latest.erased)

    def first_group(self, actor: str, day: date) -> str:
        """The first of the actor's groups on a day, "" if there is none. Before the first known day, the first known groups hold."""
        versions: dict[date, ActorEvent] = {}
        for event in sorted(self.events, key=lambda event: event.at):
            if event.actor == actor and event.groups is not None:
                versions[event.effective_from or event.at.date()] = event
        if not versions:
            return ""
        begun = [since for since in versions if since <= day]
        groups = versions[max(begun) if begun else min(versions)].groups
        return groups[0] if groups else ""

    def person(self, who: Who) -> tuple[str, str]:
        """Kind and id of the row of a person view."""
        if not who.actor:
            return UNATTRIBUTED, ""
        return (REMOVED, "") if self.is_removed(who.actor) else (who.actor_kind, who.actor)

    def group(self, who: Who, day: date, today: date | None = None) -> tuple[str, str]:
        """Kind and id of the row of a group view; with `today`, as-now."""
        if not who.actor and not who.group:
            return UNATTRIBUTED, ""
        own = self.first_group(who.actor, today or day) if who.actor else ""
        found = (own or who.group) if today else (who.group or own)
        return ("group", found) if found else (NO_GROUP, "")

    def path(self, group: str) -> tuple[str, ...]:
        """The groups from a root down to this one. A group whose parent is unknown, or that is in a cycle, is a root."""
        path = [group]
        while (parent := self.parents.get(path[0], "")) in self.parents and not self._is_in_cycle(path[0]):
            path.insert(0, parent)
        return tuple(path)

    def _is_in_cycle(self, group: str) -> bool:
        met, at = {group}, self.parents.get(group, "")
        while at and at not in met:
            met.add(at)
            at = self.parents.get(at, "")
        return at == group


def label(who: Who, key: str) -> tuple[str, str]:
    """Kind and value of the row of a label view."""
    value = dict(who.labels).get(key)
    return (NO_VALUE, "") if value is None else ("label", value)


class RunTotal(NamedTuple):
    """Micro-credits, uses, time of the first and last use, agent of the first use, and the largest parent."""

    micro: int
    uses: int
    first_at: datetime
    last_at: datetime
    agent: str
    firsts: frozenset[Who]
    """Who is behind the first use: one of several, if uses of this agent have the same time."""
    parent: str


class RunUse(NamedTuple):
    at: datetime
    agent: str
    micro: int
    is_use: bool
    who: Who


def runs(all_uses: Iterable[RunUse]) -> dict[str, RunTotal]:
    """The total of each run. A correction adds credits only."""
    by_run: dict[str, list[RunUse]] = {}
    for use in all_uses:
        if use.who.run:
            by_run.setdefault(use.who.run, []).append(use)
    totals = {}
    for run, of_run in by_run.items():
        uses = sorted(use for use in of_run if use.is_use)
        first = uses[0]
        totals[run] = RunTotal(
            sum(use.micro for use in of_run), len(uses), first.at, uses[-1].at, first.agent,
            frozenset(use.who for use in uses if (use.at, use.agent) == (first.at, first.agent)),
            max(use.who.parent for use in uses),
        )  # fmt: skip
    return totals
