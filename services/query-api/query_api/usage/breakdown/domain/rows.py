"""Usage as the tree of rows that a view shows. Pure: the sum of every level is the sum of the usage, to the micro-credit."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain, groupby, repeat
from typing import Literal, NamedTuple

from flexcredits_schemas.credits import MICRO, round_half_even
from flexcredits_schemas.events import AgentKind, AgentState, FeatureKind, Product

from query_api.contracts.domain.periods import Days, split_at

View = Literal["models", "tools", "other_features", "agents", "features", "namespaces"]
Kind = Literal["model", "tool", "feature", "category", "namespace", "agent", "deleted", "unsaved", "system", "surface"]
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
NO_SURFACE = "No surface"

Categories = Literal["then", "now"]


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
    surface: str  # "" where none is named
    product: Product


class Use(NamedTuple):
    """Micro-credits and events of a series in a stretch of days that begins on `day`."""

    day: date
    series: Series
    credits: int
    events: int


Step = tuple[Kind, str, str]
"""Kind, id and name of a row on the way down to a use."""


class Agent(NamedTuple):
    state: State
    name: str
    deleted_at: datetime | None = None


@dataclass(slots=True)
class Row:
    """A line of the table; `rows` are its parts, and when there are any they add up to it."""

    kind: Kind
    id: str
    name: str
    credits: int
    events: int
    previous: int  # micro-credits in the range before
    rows: list["Row"] = field(default_factory=list)


class Features:
    """Names, and the category of any day: the one that was in force then, or for all days the one of today."""

    def __init__(self, facts: Iterable[FeatureFact], today: date, categories: Categories = "then") -> None:
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
            timeline = [(fact.effective_from, fact.category) for fact in in_force]
            if categories == "now":  # that of the latest fact until today, since ever
                timeline = [(date.min, category) for since, category in timeline if since <= today][-1:]
            self._categories[feature] = timeline

    def name(self, feature: Feature) -> str:
        """Today's display name, else the feature's own."""
        return self._names.get(feature, feature.feature)

    def category(self, feature: Feature, day: date) -> str | None:
        """The category of usage of `day`: as then, that of the latest fact from that day or before."""
        category = None
        for effective_from, name in self._categories.get(feature, ()):
            if effective_from > day:
                break
            category = name
        return category

    def stretches(self, feature: Feature, days: Days) -> list[Days]:
        """`days` in pieces within each of which this feature keeps its category."""
        return split_at(days, [effective_from for effective_from, _ in self._categories.get(feature, ())])

    def changes(self) -> list[date]:
        """Days on which any feature's category becomes another one, sorted. Between them every category is constant."""
        return sorted({day for timeline in self._categories.values() for day in _changes(timeline)})

    def changing(self, after: date, until: date) -> set[Feature]:
        """Features whose category on a day after `after`, and not after `until`, is another one than the day before."""
        return {
            feature
            for feature, timeline in self._categories.items()
            if any(after < day <= until for day in _changes(timeline))
        }


def _changes(timeline: Iterable[tuple[date, str | None]]) -> Iterator[date]:
    before = None
    for effective_from, category in timeline:
        if category != before:
            yield effective_from
        before = category


def agent_state(
    registered: AgentState | None,
    seen: AgentKind | None,
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


def agent_as_now(agent_id: str, agents: Mapping[str, Agent]) -> Agent:
    """What an agent is now; without an id it is one that nobody saved."""
    return agents.get(agent_id, Agent("agent", agent_id) if agent_id else Agent("unsaved", ""))


def build_rows(
    view: View, uses: Iterable[Use], features: Features, agents: Mapping[str, Agent], before: Iterable[Use] = (),
    *, by_surface: bool = False,
) -> list[Row]:  # fmt: skip
    """The view's rows, highest credits first; by surface, a row for each surface, in which are the view's rows.

    `before` is the usage of the previous range. What only that one had is a row too, with nothing used.
    """
    root = _Node(("category", "", ""))
    lines: dict[tuple[str, date, Feature], _Node] = {}  # there are many more uses than lines, and than agents in a line
    for is_before, (day, (feature, agent_id, surface, _), credits, events) in chain(
        zip(repeat(False), uses), zip(repeat(True), before)
    ):
        on = surface if by_surface else ""
        line = lines.get((on, day, feature))
        if line is None:
            steps = _line_steps(view, feature, day, features)
            outer: list[Step] = [("surface", surface, surface or NO_SURFACE)] if by_surface else []
            line = lines[on, day, feature] = root.descend(outer + steps)
        leaf = line.leaves.get(agent_id)
        if leaf is None:
            leaf = line.leaves[agent_id] = line.descend(_agent_steps(view, agent_id, agents))
        if is_before:
            leaf.previous += credits
        else:
            leaf.credits += credits
            leaf.events += events
    return root.to_row().rows


def in_order(row: Row) -> tuple[int, str, str, str]:
    """How neighbours are sorted; no two are equal."""
    return -row.credits, row.name, row.id, row.kind


def change(now: int, before: int) -> int | None:
    """Millionths of what it was before by which it became more, or less; None if it was nothing."""
    return share(now - before, abs(before)) if before else None


def share(part: int, whole: int) -> int:
    """Millionths that a part is of the whole, rounded half-even; 0 of nothing."""
    if whole == 0:
        return 0
    if whole < 0:
        part, whole = -part, -whole
    return round_half_even(part * MICRO, whole)


def agent_steps(agent_id: str, agents: Mapping[str, Agent]) -> list[Step]:
    """The row of an agent's usage in a list of agents, and the one inside it if there is one."""
    agent = agent_as_now(agent_id, agents)
    if agent.state == "unsaved":  # drafts have no name that anybody gave them
        return [("unsaved", "unsaved", AGGREGATES["unsaved"])]
    if agent.state == "deleted":
        return [("deleted", "deleted", AGGREGATES["deleted"]), ("agent", agent_id, agent.name)]
    return [(agent.state, agent_id, agent.name)]


def _line_steps(view: View, feature: Feature, day: date, features: Features) -> list[Step]:
    steps: list[Step] = []
    if view in WITH_CATEGORIES and (category := features.category(feature, day)) is not None:
        steps.append(("category", category, category))
    if view != "agents":
        steps.append((feature.feature_kind, feature.feature, features.name(feature)))
    return steps


def _agent_steps(view: View, agent_id: str, agents: Mapping[str, Agent]) -> list[Step]:
    if view not in WITH_AGENTS or (view != "agents" and not agent_id):
        return []
    return agent_steps(agent_id, agents)


class _Node:
    """A row under construction, with what was used of it directly."""

    __slots__ = ("credits", "events", "leaves", "parts", "previous", "step")

    def __init__(self, step: Step) -> None:
        self.step = step
        self.credits = 0
        self.events = 0
        self.previous = 0
        self.parts: dict[Step, _Node] = {}
        self.leaves: dict[str, _Node] = {}  # the node of each agent's usage

    def descend(self, steps: Iterable[Step]) -> "_Node":
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
            return Row(kind, row_id, name, self.credits, self.events, self.previous)
        rows = [part.to_row() for part in self.parts.values()]
        if self.credits or self.events or self.previous:  # some usage of a feature names an agent, and this is the rest
            rows.append(Row(kind, row_id, NO_AGENT, self.credits, self.events, self.previous))
        rows.sort(key=in_order)
        credits, events, previous = (
            sum(row.credits for row in rows), sum(row.events for row in rows), sum(row.previous for row in rows)
        )  # fmt: skip
        return Row(kind, row_id, name, credits, events, previous, rows)
