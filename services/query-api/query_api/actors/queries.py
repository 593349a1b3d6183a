"""Statements about who used what, as the organization shows people."""

import json
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from query_api.actors.schemas import PEOPLE_OF_A_SHOWN_GROUP, SMALL_GROUPS, ActorRef, GroupRef, actor_ref
from query_api.calendar import Days
from query_api.db.session import ReadSession
from query_api.db.statements import SQL


class Who(NamedTuple):
    """Actor, group and declared labels of a use."""

    actor: ActorRef | None
    group: GroupRef | None
    labels: dict[str, str]


NO_WHO = Who(None, None, {})


async def select_large_groups(session: ReadSession, days: Days) -> list[str] | None:
    """Groups that are shown while only groups are shown: those with usage of five people in the range. None: all groups."""
    if session.organization.people != "groups_only":
        return None
    await session.connection.execute(SQL["plan_for_values"])
    rows = await session.connection.fetch(
        SQL["select_large_groups"], session.organization_id, *days, PEOPLE_OF_A_SHOWN_GROUP
    )
    return [row["group_id"] for row in rows]


async def select_who(
    session: ReadSession, uses: Sequence[tuple[int | None, date]], large_groups: Sequence[str] | None
) -> list[Who]:
    """Of an attribution id and a local day each. `large_groups` of a range that contains the days."""
    named = [(number, use) for number, use in enumerate(uses) if use[0]]
    whose = [NO_WHO] * len(uses)
    if not named:
        return whose
    rows = await session.connection.fetch(
        SQL["select_who"],
        session.organization_id,
        [attribution_id for _, (attribution_id, _) in named],
        [day for _, (_, day) in named],
        list(large_groups or ()),
    )
    for row in rows:
        actor = actor_ref(row["actor_kind"], row["actor_id"], row["actor_name"], removed=row["removed"])
        group = GroupRef(id=row["group_id"], name=row["group_name"]) if row["group_id"] else None
        if row["is_small"]:
            group = GroupRef(id=None, name=SMALL_GROUPS)
        whose[named[row["place"] - 1][0]] = Who(actor, group, json.loads(row["labels"]))
    return whose
