"""Groups usage into chart lines; smaller lines are combined in one, so that the total is kept. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal, NamedTuple

from flexcredits_schemas.events import Product
from flexcredits_schemas.identity import OTHER

from query_api.usage.domain.catalog import NO_AGENT, NO_SURFACE, OTHERS, Agent, Features, RowKind, agent_steps
from query_api.usage.domain.series import Series

GroupBy = Literal["product", "category", "feature", "agent", "surface"]
GroupKind = RowKind | Literal["product", "no_agent", "other"]


class Group(NamedTuple):
    """What a line shows; `product` is None if it may contain several products."""

    kind: GroupKind
    key: str
    name: str
    product: Product | None = None


PRODUCT_GROUPS: Mapping[Product, Group] = {
    "assistant": Group("product", "assistant", "Assistant", "assistant"),
    "agents": Group("product", "agents", "Agents", "agents"),
    "api": Group("product", "api", "API", "api"),
}
OTHER_GROUPS = Group(*OTHERS)
"""Groups beyond `top`, and features, agents or surfaces beyond the aggregator's limit."""


class Cell(NamedTuple):
    """Micro-credits and events of a group in a bucket, or in a part of a bucket."""

    bucket: int
    group: Group
    credits: int
    events: int


class TrendLine(NamedTuple):
    """A chart line with one value per bucket."""

    group: Group
    credits: list[int]
    events: list[int]


def group_key(group_by: GroupBy, series: Series) -> tuple[object, ...]:
    """Series with equal keys are in the same group on every day."""
    if group_by == "product":
        return (series.product,)
    if group_by == "agent":
        return (series.agent_id, series.product == "agents")
    if group_by == "surface":
        return (series.surface,)
    return (series.product, series.feature)


def group_of(
    group_by: GroupBy, series: Series, day: date, features: Mapping[Product, Features], agents: Mapping[str, Agent]
) -> Group:
    """As in the tables: a feature without a category is its own group, and special rows of agents are groups."""
    product, (feature_kind, feature) = series.product, series.feature
    if group_by == "product":
        return PRODUCT_GROUPS[product]
    if group_by == "surface":
        if series.surface == OTHER:
            return OTHER_GROUPS
        return Group("surface", f"surface/{series.surface}", series.surface or NO_SURFACE)
    if group_by == "agent":
        if not series.agent_id and product != "agents":
            return Group("no_agent", "no_agent", NO_AGENT)
        kind, agent_id, name = agent_steps(series.agent_id, agents)[0]
        return Group(kind, kind if agent_id == kind else f"{kind}/{agent_id}", name)
    if feature == OTHER:
        return OTHER_GROUPS
    names = features[product]
    if group_by == "category" and (category := names.category(series.feature, day)) is not None:
        return Group("category", f"category/{category}", category)
    return Group(feature_kind, f"{feature_kind}/{product}/{feature}", names.name(series.feature), product)


def draw_lines(cells: Sequence[Cell], buckets: int, top: int, always: Iterable[Group] = ()) -> list[TrendLine]:
    """A line for each of the `top` groups with most credits, highest first; the last line is the sum of the others.

    Groups in `always` get a line even without cells. Others have no line in memory: 20,000 of them took 360 MB for 1,100
    buckets.
    """
    groups = {group.key: group for group in always}
    totals = Counter[str]()
    for _, group, credits, _ in cells:
        groups.setdefault(group.key, group)
        totals[group.key] += credits
    named = first_groups(groups.values(), totals, top)
    lines = {group.key: TrendLine(group, [0] * buckets, [0] * buckets) for group in named}
    other = TrendLine(OTHER_GROUPS, [0] * buckets, [0] * buckets)
    for bucket, group, credits, events in cells:
        line = lines.get(group.key, other)
        line.credits[bucket] += credits
        line.events[bucket] += events
    return [*lines.values(), *([other] if len(groups) > len(named) else [])]


def first_groups(groups: Iterable[Group], totals: Mapping[str, int], top: int) -> list[Group]:
    """The `top` groups with most credits, highest first, without OTHER_GROUPS. `totals` are by key."""
    ordered = sorted(
        groups, key=lambda group: (group == OTHER_GROUPS, -totals.get(group.key, 0), group.name, group.key)
    )
    return [group for group in ordered[:top] if group != OTHER_GROUPS]


def top_lines(lines: Iterable[TrendLine], buckets: int, top: int) -> list[TrendLine]:
    """The `top` lines with most credits, highest first; the last line is the sum of the others."""
    ordered = sorted(
        lines, key=lambda line: (line.group == OTHER_GROUPS, -sum(line.credits), line.group.name, line.group.key)
    )
    named = sum(line.group != OTHER_GROUPS for line in ordered[:top])
    rest = ordered[named:]
    if rest:
        other = TrendLine(OTHER_GROUPS, [0] * buckets, [0] * buckets)
        for line in rest:
            for bucket in range(buckets):
                other.credits[bucket] += line.credits[bucket]
                other.events[bucket] += line.events[bucket]
        ordered[named:] = [other]
    return ordered
