"""Groups and the groups below them. Pure."""

from collections.abc import Mapping, Sequence

from query_api.attributions.domain.spans import PeopleGroup

DEPTH_MAX = 20
"""Levels of the tree. A group below them is a root, so that no directory produces an answer that cannot be encoded."""


def find_parents(groups: Sequence[PeopleGroup]) -> dict[str, str | None]:
    """The parent of each group; None for roots, which include groups with an unknown parent, in a cycle, or too deep."""
    given = {group.group_id: group.parent_id for group in groups}
    parents: dict[str, str | None] = {}
    depths: dict[str, int] = {}
    for group in given:
        path: dict[str, None] = {}  # ordered
        at: str | None = group
        while at in given and at not in depths and at not in path:
            path[at] = None
            at = given[at]
        steps = list(path)
        if at in path:
            cycle = steps[steps.index(at) :]
            parents |= dict.fromkeys(cycle)
            depths |= dict.fromkeys(cycle, 1)
            steps = steps[: -len(cycle)]
        for step in reversed(steps):
            parent = given[step]
            depth = depths.get(parent, 0) + 1 if parent is not None else 1
            is_root = parent not in given or depth > DEPTH_MAX
            parents[step], depths[step] = (None, 1) if is_root else (parent, depth)
    return parents


def find_subtree(group: str, parents: Mapping[str, str | None]) -> list[str]:
    """The group and all groups below it. Tolerates cycles."""
    children: dict[str, list[str]] = {}
    for child, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(child)
    found, stack = {group}, [group]
    while stack:
        for child in children.get(stack.pop(), ()):
            if child not in found:
                found.add(child)
                stack.append(child)
    return sorted(found)
