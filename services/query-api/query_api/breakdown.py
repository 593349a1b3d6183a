"""Usage as the tree of rows that a view shows. Pure: the sum of every level is the sum of the usage, to the micro-credit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Literal, NamedTuple

View = Literal["models", "tools", "other_features", "agents", "features", "namespaces"]
Kind = Literal["model", "tool", "feature", "category", "namespace", "agent", "deleted", "unsaved", "system"]
State = Literal["agent", "deleted", "unsaved", "system"]

FEATURE_KINDS: Mapping[tuple[str, str], tuple[str, ...]] = {
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

_SHARE = Decimal("0.000001")


class Feature(NamedTuple):
    feature_kind: str
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


@dataclass
class Row:
    """A line of the table; `rows` are its parts, and when there are any they add up to it."""

    kind: Kind
    id: str
    name: str
    credits: int = 0
    events: int = 0
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
    table = _Table()
    for use in uses:
        table.add(_path(view, use, features, agents), use)
    return table.rows()


def share(part: int, whole: int) -> Decimal:
    """Part of a whole with six places; 0 of nothing."""
    return (Decimal(part) / Decimal(whole) if whole else Decimal(0)).quantize(_SHARE)


_Step = tuple[Kind, str, str]
"""Kind, id and name of a row on the way down to a use."""


def _path(view: View, use: Use, features: Features, agents: Mapping[str, Agent]) -> list[_Step]:
    feature, agent_id = use.series
    path: list[_Step] = []
    if view in WITH_CATEGORIES and (category := features.category(feature, use.day)) is not None:
        path.append(("category", category, category))
    if view != "agents":
        path.append((feature.feature_kind, feature.feature, features.name(feature)))  # type: ignore[arg-type]
    if view == "agents" and not agent_id:
        path.append(("unsaved", "unsaved", AGGREGATES["unsaved"]))
    elif view in WITH_AGENTS and agent_id:
        agent = agents.get(agent_id) or Agent("agent", agent_id)
        if agent.state in AGGREGATES:
            path.append((agent.state, agent.state, AGGREGATES[agent.state]))
        if agent.state != "unsaved":  # drafts have no name that anybody gave them
            path.append(("system" if agent.state == "system" else "agent", agent_id, agent.name))
    return path


class _Table:
    """Rows under construction, by the steps that lead to them."""

    def __init__(self, row: Row | None = None) -> None:
        self.row = row or Row("category", "", "")
        self.parts: dict[_Step, _Table] = {}

    def add(self, path: list[_Step], use: Use) -> None:
        table = self
        table._count(use)
        for step in path:
            table = table.parts.setdefault(step, _Table(Row(*step)))
            table._count(use)

    def _count(self, use: Use) -> None:
        self.row.credits += use.credits
        self.row.events += use.events

    def rows(self) -> list[Row]:
        rows = []
        for part in self.parts.values():
            part.row.rows = part.rows()
            rows.append(part.row)
        if rows:
            credits = self.row.credits - sum(row.credits for row in rows)
            events = self.row.events - sum(row.events for row in rows)
            if credits or events:  # some of a feature's usage names an agent, and this is the rest
                rows.append(Row(self.row.kind, self.row.id, NO_AGENT, credits, events))
        return sorted(rows, key=lambda row: (-row.credits, row.name, row.id))
