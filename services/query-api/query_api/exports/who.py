"""Filters of files by who used what."""

from collections.abc import Sequence
from typing import NamedTuple

from query_api.attributions.domain.groups import find_parents, find_subtree
from query_api.attributions.queries import select_people_groups, select_people_settings
from query_api.attributions.schemas import WhoQuery
from query_api.attributions.selection import check_texts, read_label
from query_api.db.session import ReadSession
from query_api.http.problems import invalid_parameter


class WhoFilter(NamedTuple):
    """Parameters of statements that read usage_by_people(). None: not filtered by it."""

    actor: str | None
    """As shown: an alias while people are pseudonymous."""
    groups: Sequence[str] | None
    """A group and those below it."""
    label_key: str | None
    value: str | None


async def read_who_filter(session: ReadSession, query: WhoQuery) -> WhoFilter:
    """Raises ApiProblem."""
    check_texts(query)
    if query.membership != "then":
        raise invalid_parameter("membership", "must be `then`: a line has the group of its day")
    label = read_label(query.label, await select_people_settings(session))
    groups = None
    if query.group is not None:
        groups = find_subtree(query.group, find_parents(await select_people_groups(session)))
    return WhoFilter(query.actor, groups, *(label or (None, None)))
