"""Builds the tree of rows of a view. Each level adds up to the total usage exactly. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import chain, repeat

from flexcredits_schemas.credits import MICRO, round_half_even

from query_api.usage.domain.catalog import (
    NO_AGENT,
    NO_SURFACE,
    Agent,
    Feature,
    Features,
    RowKind,
    RowStep,
    View,
    agent_steps,
)
from query_api.usage.domain.series import SeriesUsage

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


def build_rows(
    view: View, uses: Iterable[SeriesUsage], features: Features, agents: Mapping[str, Agent], before: Iterable[SeriesUsage] = (),
    *, by_surface: bool = False,
) -> list[Row]:  # fmt: skip
    """The view's rows, highest credits first. If grouped by surface, a row for each surface contains the view's rows.

    `before` is the usage of the previous range. Includes rows that were used in that range only.
    """
    root = _Node(("category", "", ""))
    lines: dict[tuple[str, date, Feature], _Node] = {}  # cached, because there are many more sums than lines or agents
    for is_before, (day, (feature, agent_id, surface, _), credits, events) in chain(
        zip(repeat(False), uses), zip(repeat(True), before)
    ):
        on = surface if by_surface else ""
        line = lines.get((on, day, feature))
        if line is None:
            steps = _line_steps(view, feature, day, features)
            outer: list[RowStep] = [("surface", surface, surface or NO_SURFACE)] if by_surface else []
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
    """Sort order of sibling rows; unique."""
    return -row.credits, row.name, row.id, row.kind


def change(now: int, before: int) -> int | None:
    """Relative change in millionths of `before`; None if `before` is zero."""
    return share(now - before, abs(before)) if before else None


def share(part: int, whole: int) -> int:
    """Share of the whole in millionths, rounded half-even; 0 if the whole is zero."""
    if whole == 0:
        return 0
    if whole < 0:
        part, whole = -part, -whole
    return round_half_even(part * MICRO, whole)


def _line_steps(view: View, feature: Feature, day: date, features: Features) -> list[RowStep]:
    steps: list[RowStep] = []
    if view in WITH_CATEGORIES and (category := features.category(feature, day)) is not None:
        steps.append(("category", category, category))
    if view != "agents":
        steps.append((feature.feature_kind, feature.feature, features.name(feature)))
    return steps


def _agent_steps(view: View, agent_id: str, agents: Mapping[str, Agent]) -> list[RowStep]:
    if view not in WITH_AGENTS or (view != "agents" and not agent_id):
        return []
    return agent_steps(agent_id, agents)


class _Node:
    """A row under construction, with the usage that belongs to it directly."""

    __slots__ = ("credits", "events", "leaves", "parts", "previous", "step")

    def __init__(self, step: RowStep) -> None:
        self.step = step
        self.credits = 0
        self.events = 0
        self.previous = 0
        self.parts: dict[RowStep, _Node] = {}
        self.leaves: dict[str, _Node] = {}  # nodes by agent

    def descend(self, steps: Iterable[RowStep]) -> "_Node":
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
        if self.credits or self.events or self.previous:  # usage of the feature without an agent, beside rows of agents
            rows.append(Row(kind, row_id, NO_AGENT, self.credits, self.events, self.previous))
        rows.sort(key=in_order)
        credits, events, previous = (
            sum(row.credits for row in rows), sum(row.events for row in rows), sum(row.previous for row in rows)
        )  # fmt: skip
        return Row(kind, row_id, name, credits, events, previous, rows)
