"""Names for usage: features and their categories on any day, and agents as they are now. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from itertools import groupby
from typing import Literal, NamedTuple

from flexcredits_schemas.events import AgentKind, AgentState, FeatureKind
from flexcredits_schemas.identity import OTHER, OTHER_NAME

from query_api.calendar import Days, split_at

View = Literal["models", "tools", "other_features", "agents", "features", "namespaces"]
RowKind = Literal[
    "model", "tool", "feature", "category", "namespace", "agent", "deleted", "unsaved", "system", "surface", "other"
]
AgentStatus = Literal["agent", "deleted", "unsaved", "system", "other"]

FEATURE_KINDS: Mapping[tuple[str, str], tuple[FeatureKind, ...]] = {
    ("assistant", "models"): ("model",),
    ("assistant", "tools"): ("tool",),
    ("assistant", "other_features"): ("feature",),
    ("agents", "agents"): ("model", "tool", "feature"),
    ("agents", "features"): ("model", "tool", "feature"),
    ("api", "namespaces"): ("namespace",),
}
"""Views of each product, and the kinds of feature that they show."""

AGGREGATES: Mapping[AgentStatus, str] = {"deleted": "Deleted agents", "unsaved": "Unsaved workflows"}
"""Agents that a view combines in one row."""
NO_AGENT = "No agent"
NO_SURFACE = "No surface"

Categories = Literal["then", "now"]

RowStep = tuple[RowKind, str, str]
"""Kind, id and name of a row on the path to a leaf."""
OTHERS: RowStep = ("other", "other", OTHER_NAME)
"""Features, agents or surfaces beyond the aggregator's limit of new ones in a month."""


def id_of(name: str) -> str:
    """A feature, agent or surface as answers and files show it: "" for those beyond the limit."""
    return "" if name == OTHER else name


class Feature(NamedTuple):
    feature_kind: FeatureKind
    feature: str


class FeatureEntry(NamedTuple):
    """Name and category of a feature from a day on, for one organization or for the deployment."""

    feature: Feature
    deployment_wide: bool
    effective_from: date
    display_name: str | None
    category: str | None


class Features:
    """Names of features, and their category on any day: the one in force on that day, or today's for all days."""

    def __init__(self, entries: Iterable[FeatureEntry], today: date, categories: Categories = "then") -> None:
        """Entries of the organization override those of the deployment, from the day when its first one takes effect."""
        self._names: dict[Feature, str] = {}
        self._categories: dict[Feature, list[tuple[date, str | None]]] = {}
        for feature, group in groupby(
            sorted(entries, key=lambda entry: entry.feature), key=lambda entry: entry.feature
        ):
            by_day = sorted(group, key=lambda entry: entry.effective_from)
            own = [entry for entry in by_day if not entry.deployment_wide]
            wide = [entry for entry in by_day if entry.deployment_wide]
            for entry in (*wide, *own):
                if entry.display_name is not None and entry.effective_from <= today:
                    self._names[feature] = entry.display_name
            own_from = own[0].effective_from if own else date.max
            in_force = [entry for entry in wide if entry.effective_from < own_from] + own
            timeline = [(entry.effective_from, entry.category) for entry in in_force]
            if categories == "now":  # the category of the latest entry until today, for all days
                timeline = [(date.min, category) for since, category in timeline if since <= today][-1:]
            self._categories[feature] = timeline
        self._changes = sorted({day for timeline in self._categories.values() for day in _changes(timeline)})

    def name(self, feature: Feature) -> str:
        """Today's display name, else the feature's id."""
        return OTHER_NAME if feature.feature == OTHER else self._names.get(feature, feature.feature)

    def category(self, feature: Feature, day: date) -> str | None:
        """The category of usage on `day`: that of the latest entry on or before the day."""
        category = None
        for effective_from, name in self._categories.get(feature, ()):
            if effective_from > day:
                break
            category = name
        return category

    def epoch(self, day: date) -> date:
        """The last day, until `day`, on which the category of a feature changed: all days of an epoch are alike."""
        place = bisect_right(self._changes, day)
        return self._changes[place - 1] if place else date.min

    def stretches(self, feature: Feature, days: Days) -> list[Days]:
        """Split `days` into ranges in which this feature has one category."""
        return split_at(days, [effective_from for effective_from, _ in self._categories.get(feature, ())])

    def changes(self) -> list[date]:
        """Days on which the category of any feature changes, sorted."""
        return self._changes

    def changing(self, after: date, until: date) -> set[Feature]:
        """Features whose category changes on a day after `after` and not after `until`."""
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


class Agent(NamedTuple):
    status: AgentStatus
    name: str
    deleted_at: datetime | None = None


def agent_status(
    registered: AgentState | None,
    seen: AgentKind | None,
    ever_saved: bool,
) -> AgentStatus:
    """Current status of an agent, from the latest registry event, the kind in its latest usage, and whether it was ever saved.

    The registry has priority: a deletion holds, despite later usage, until a newer `saved` event. An agent that was never saved
    stays unsaved when deleted; one that was ever saved is never an unsaved workflow. System workflows stay system.
    """
    if registered == "system" or (seen == "system" and registered != "saved"):
        return "system"
    if registered == "deleted":
        return "deleted" if ever_saved else "unsaved"
    if registered is None and seen == "unsaved" and not ever_saved:
        return "unsaved"
    return "agent"


def agent_as_now(agent_id: str, agents: Mapping[str, Agent]) -> Agent:
    """The agent as it is now. Usage without an agent id belongs to an unsaved agent."""
    if agent_id == OTHER:
        return Agent("other", OTHER_NAME)
    return agents.get(agent_id, Agent("agent", agent_id) if agent_id else Agent("unsaved", ""))


def agent_steps(agent_id: str, agents: Mapping[str, Agent]) -> list[RowStep]:
    """The path of an agent's row in a list of agents: the row itself, or a combined row and the agent inside it."""
    agent = agent_as_now(agent_id, agents)
    if agent.status == "unsaved":  # drafts have no names
        return [("unsaved", "unsaved", AGGREGATES["unsaved"])]
    if agent.status == "deleted":
        return [("deleted", "deleted", AGGREGATES["deleted"]), ("agent", agent_id, agent.name)]
    return [OTHERS if agent.status == "other" else (agent.status, agent_id, agent.name)]
