"""The rows of a view without numbers, shared by requests, and the rows with the numbers of one request. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

import numpy as np
from flexcredits_schemas.identity import OTHER

from query_api.usage.domain.catalog import (
    NO_AGENT,
    NO_SURFACE,
    OTHERS,
    Agent,
    Feature,
    Features,
    RowKind,
    RowStep,
    View,
    agent_steps,
)
from query_api.usage.domain.series import Numbers, Series

WITH_CATEGORIES = {"tools", "other_features", "features"}
WITH_AGENTS = {"other_features", "agents", "features"}


@dataclass(slots=True)
class Row:
    """A row of the table; its child rows, if any, add up to it."""

    kind: RowKind
    id: str
    name: str
    credits: int
    events: int
    previous: int  # micro-credits in the previous range
    rows: list["Row"] = field(default_factory=list)


class LeafUsage(NamedTuple):
    """Usage of leaves in parallel arrays, in micro-credits. A leaf may occur several times."""

    leaves: Numbers
    credits: Numbers
    events: Numbers


class ViewTree:
    """The rows of a view as numbered nodes. A node is added when usage first needs it, so parents come before children.

    Depends on the names and categories of features, and on agents, but on no usage: requests share it.
    """

    def __init__(
        self, view: View, features: Features, agents: Mapping[str, Agent], *, by_surface: bool = False
    ) -> None:
        self._view = view
        self._features = features
        self._agents = agents
        self._by_surface = by_surface
        self._steps: list[RowStep] = [("category", "", "")]  # the root
        self._parents = [0]
        self._children: list[list[int]] = [[]]
        self._ordered = 0
        """Number of nodes for which `_children` is sorted and `_levels` is complete."""
        self._levels: list[tuple[Numbers, Numbers]] = []
        self._numbers: dict[tuple[int, RowStep, bool], int] = {}
        self._own: set[int] = set()
        """Nodes for a feature's usage without an agent, inside the feature's node."""
        self._lines: dict[tuple[str, str | None, Feature], int] = {}
        self._leaves: dict[tuple[int, str], int] = {}

    def leaf(self, series: Series, day: date) -> int:
        """The node to which usage of the series on `day` belongs."""
        feature, agent_id, surface, _ = series
        category = self._features.category(feature, day) if self._view in WITH_CATEGORIES else None
        key = (surface if self._by_surface else "", category, feature)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = self._add_line(*key)
        if self._view != "agents" and feature.feature == OTHER:
            return line
        leaf = self._leaves.get((line, agent_id))
        if leaf is None:
            leaf = self._leaves[line, agent_id] = self._add_agent(line, agent_id)
        return leaf

    def rows(self, usage: Iterable[LeafUsage], before: Iterable[LeafUsage] = ()) -> list[Row]:
        """The view's rows, highest credits first. `before` is the usage of the previous range.

        Includes rows that were used in that range only.
        """
        size = len(self._steps)
        sums = [np.zeros(size, np.int64) for _ in range(3)]  # credits, events, credits of the previous range
        is_used = np.zeros(size, np.bool_)
        for leaves, leaf_credits, leaf_events in usage:
            np.add.at(sums[0], leaves, leaf_credits)
            np.add.at(sums[1], leaves, leaf_events)
            is_used[leaves] = True
        for leaves, leaf_credits, _ in before:
            np.add.at(sums[2], leaves, leaf_credits)
            is_used[leaves] = True
        for nodes, parents in self._order():
            for column in sums:
                np.add.at(column, parents, column[nodes])
            is_used[parents[is_used[nodes]]] = True
        credits, events, previous = (column.tolist() for column in sums)
        used = is_used.tolist()
        steps, children, own = self._steps, self._children, self._own

        def rows_of(parent: int) -> list[Row]:
            nodes = [node for node in children[parent] if used[node]]
            if own.issuperset(nodes):  # usage without an agent is a row of its own only beside rows of agents
                return []
            inside = [node for node in nodes if node not in own or credits[node] or events[node] or previous[node]]
            inside.sort(key=credits.__getitem__, reverse=True)  # stable: equal credits stay in the order of names
            return [
                Row(*steps[node], credits[node], events[node], previous[node], rows_of(node) if children[node] else [])
                for node in inside
            ]

        return rows_of(0)

    def _order(self) -> list[tuple[Numbers, Numbers]]:
        """Nodes and their parents, for each level of the tree from below. If nodes were added, also sorts siblings by name, id
        and kind."""
        if self._ordered == len(self._steps):
            return self._levels
        for nodes in self._children:
            nodes.sort(key=lambda node: (self._steps[node][2], self._steps[node][1], self._steps[node][0]))
        self._ordered, self._levels = len(self._steps), []
        level = self._children[0]
        while level:
            parents = [self._parents[node] for node in level]
            self._levels.insert(0, (np.array(level, np.int64), np.array(parents, np.int64)))
            level = [child for node in level for child in self._children[node]]
        return self._levels

    def _add(self, parent: int, step: RowStep, *, is_own: bool = False) -> int:
        key = (parent, step, is_own)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._steps)
            self._steps.append(step)
            self._parents.append(parent)
            self._children.append([])
            self._children[parent].append(number)
            if is_own:
                self._own.add(number)
        return number

    def _add_agent(self, line: int, agent_id: str) -> int:
        if self._view not in WITH_AGENTS:
            return line
        if self._view != "agents" and not agent_id:
            kind, row_id, _ = self._steps[line]
            return self._add(line, (kind, row_id, NO_AGENT), is_own=True)
        for step in agent_steps(agent_id, self._agents):
            line = self._add(line, step)
        return line

    def _add_line(self, surface: str, category: str | None, feature: Feature) -> int:
        line = 0
        if self._by_surface:
            line = self._add(0, OTHERS if surface == OTHER else ("surface", surface, surface or NO_SURFACE))
        if category is not None:
            line = self._add(line, ("category", category, category))
        if self._view != "agents":
            step: RowStep = (feature.feature_kind, feature.feature, self._features.name(feature))
            line = self._add(line, OTHERS if feature.feature == OTHER else step)
        return line
