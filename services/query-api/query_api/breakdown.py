"""Usage as the tree of rows that a view shows. Pure: the sum of every level is the sum of the usage, to the micro-credit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from typing import Literal, NamedTuple

from flexcredits_schemas.events import FeatureKind

View = Literal["models", "tools", "other_features", "agents", "features", "namespaces"]
Kind = Literal["model", "tool", "feature", "category", "namespace", "agent", "deleted", "unsaved", "system"]
State = Literal["agent", "deleted", "unsaved", "system"]

FEATURE_KINDS: Mapping[tuple[str, str], tuple[FeatureKind, ...]] = {
    ("assistant", "models"): ("model",),
    ("assistant", "tools"): ("tool",),
    ("assistant", "other_features"): ("feature",),
    ("agents", "agents"): ("model", "tool", "feature"),
    ("agents", "features"): ("model", "tool", "feature"),
    ("api", "namespaces"): ("namespace",),
}
"""The views that each product has, and the kinds of feature that they show."""

WITH_CATEGORIES = {"tools", "other_features", "features"}
WITH_AGENTS = {"other_features", "agents", "features"}

AGGREGATES: Mapping[State, str] = {"deleted": "Deleted agents", "unsaved": "Unsaved workflows"}
"""Agents that a view shows as one row together."""
NO_AGENT = "No agent"

_MILLION = 1_000_000


class Feature(NamedTuple):
    feature_kind: FeatureKind
    feature: str


class FeatureFact(NamedTuple):
    """What the catalog says about a feature from a day on, for one organization or for the deployment."""

    feature: Feature
    deployment_wide: bool
    effective_from: date
    display_name: str | None
    category: str | None


class Series(NamedTuple):
    feature: Feature
    agent_id: str  # "" where no agent is named


class Use(NamedTuple):
    """Micro-credits and events of a series in a stretch of days that begins on `day`."""

    day: date
    series: Series
    credits: int
    events: int


class Agent(NamedTuple):
    state: State
    name: str


@dataclass(slots=True)
class Row:
    """A line of the table; `rows` are its parts, and when there are any they add up to it."""

    kind: Kind
    id: str
    name: str
    credits: int
    events: int
    rows: list["Row"] = field(default_factory=list)


class Features:
    """Names, and the categories in force on any day."""

    def __init__(self, facts: Iterable[FeatureFact], today: date) -> None:
        """An organization's own facts go before the deployment's from the day that its first one takes effect."""
        self._names: dict[Feature, str] = {}
        self._categories: dict[Feature, list[tuple[date, str | None]]] = {}
        for feature, group in groupby(sorted(facts, key=lambda fact: fact.feature), key=lambda fact: fact.feature):
            by_day = sorted(group, key=lambda fact: fact.effective_from)
            own = [fact for fact in by_day if not fact.deployment_wide]
            wide = [fact for fact in by_day if fact.deployment_wide]
            for fact in (*wide, *own):
                if fact.display_name is not None and fact.effective_from <= today:
                    self._names[feature] = fact.display_name
            own_from = own[0].effective_from if own else date.max
            in_force = [fact for fact in wide if fact.effective_from < own_from] + own
            self._categories[feature] = [(fact.effective_from, fact.category) for fact in in_force]

    def name(self, feature: Feature) -> str:
        """Today's display name, else the feature's own."""
        return self._names.get(feature, feature.feature)

    def category(self, feature: Feature, day: date) -> str | None:
        """The category in force on `day`: that of the latest fact from that day or before."""
        category = None
        for effective_from, name in self._categories.get(feature, ()):
            if effective_from > day:
                break
            category = name
        return category

    def changes(self) -> list[date]:
        """Days on which any feature's category becomes another one, sorted. Between them every category is constant."""
        days = set()
        for timeline in self._categories.values():
            before = None
            for effective_from, category in timeline:
                if category != before:
                    days.add(effective_from)
                before = category
        return sorted(days)


def agent_state(
    registered: Literal["saved", "deleted", "system"] | None,
    seen: Literal["saved", "unsaved", "system"] | None,
    ever_saved: bool,
) -> State:
    """An agent as of now, from the registry's latest fact, the kind in its latest usage, and whether it ever was saved.

    The registry speaks first: a deletion wins over later usage until a newer saved fact. What was never saved stays
    unsaved when it is deleted, and what once was saved is never an unsaved workflow. A system workflow stays one.
    """
    if registered == "system" or (seen == "system" and registered != "saved"):
        return "system"
    if registered == "deleted":
        return "deleted" if ever_saved else "unsaved"
    if registered is None and seen == "unsaved" and not ever_saved:
        return "unsaved"
    return "agent"


def build_rows(view: View, uses: Iterable[Use], features: Features, agents: Mapping[str, Agent]) -> list[Row]:
    """The view's rows, highest credits first."""
    root = _Node(("category", "", ""))
    lines: dict[tuple[date, Feature], _Node] = {}  # there are many more uses than lines, and than agents in a line
    for day, (feature, agent_id), credits, events in uses:
        line = lines.get((day, feature))
        if line is None:
            line = lines[day, feature] = root.descend(_line_steps(view, feature, day, features))
        leaf = line.leaves.get(agent_id)
        if leaf is None:
            leaf = line.leaves[agent_id] = line.descend(_agent_steps(view, agent_id, agents))
        leaf.credits += credits
        leaf.events += events
    return root.to_row().rows


def share(part: int, whole: int) -> int:
    """Millionths that a part is of the whole, rounded; 0 of nothing."""
    if whole < 0:
        part, whole = -part, -whole
    return (2 * part * _MILLION + whole) // (2 * whole) if whole else 0


_Step = tuple[Kind, str, str]
"""Kind, id and name of a row on the way down to a use."""


def _line_steps(view: View, feature: Feature, day: date, features: Features) -> list[_Step]:
    steps: list[_Step] = []
    if view in WITH_CATEGORIES and (category := features.category(feature, day)) is not None:
        steps.append(("category", category, category))
    if view != "agents":
        steps.append((feature.feature_kind, feature.feature, features.name(feature)))
    return steps


def _agent_steps(view: View, agent_id: str, agents: Mapping[str, Agent]) -> list[_Step]:
    if view not in WITH_AGENTS or (view != "agents" and not agent_id):
        return []
    unknown = Agent("agent", agent_id) if agent_id else Agent("unsaved", "")
    agent = agents.get(agent_id, unknown)
    if agent.state == "unsaved":  # drafts have no name that anybody gave them
        return [("unsaved", "unsaved", AGGREGATES["unsaved"])]
    if agent.state == "deleted":
        return [("deleted", "deleted", AGGREGATES["deleted"]), ("agent", agent_id, agent.name)]
    return [(agent.state, agent_id, agent.name)]


class _Node:
    """A row under construction, with what was used of it directly."""

    __slots__ = ("credits", "events", "leaves", "parts", "step")

    def __init__(self, step: _Step) -> None:
        self.step = step
        self.credits = 0
        self.events = 0
        self.parts: dict[_Step, _Node] = {}
        self.leaves: dict[str, _Node] = {}  # the node of each agent's usage

    def descend(self, steps: Iterable[_Step]) -> "_Node":
        node = self
        for step in steps:
            part = node.parts.get(step)
            if part is None:
                part = node.parts[step] = _Node(step)
            node = part
        return node

    def to_row(self) -> Row:
        kind, row_id, name = self.step
        if not self.parts:
            return Row(kind, row_id, name, self.credits, self.events)
        rows = [part.to_row() for part in self.parts.values()]
        if self.credits or self.events:  # some of a feature's usage names an agent, and this is the rest
            rows.append(Row(kind, row_id, NO_AGENT, self.credits, self.events))
        rows.sort(key=lambda row: (-row.credits, row.name, row.id))
        credits, events = sum(row.credits for row in rows), sum(row.events for row in rows)
        return Row(kind, row_id, name, credits, events, rows)
