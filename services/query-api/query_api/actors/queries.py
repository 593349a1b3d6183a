"""Statements about who used what, as the organization shows people."""

import json
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from query_api.actors.schemas import ActorRef, GroupRef, actor_ref
from query_api.db.session import ReadSession
from query_api.db.statements import SQL


class Who(NamedTuple):
    """Actor, group and declared labels of a use. The value of a label beyond the limit of attributions is ""."""

    actor: ActorRef | None
    group: GroupRef | None
    labels: dict[str, str]


NO_WHO = Who(None, None, {})


async def select_who(session: ReadSession, uses: Sequence[tuple[int | None, date]]) -> list[Who]:
    """Of an attribution id and a local day each. NO_WHO if the organization shows groups only."""
    named = [(number, use) for number, use in enumerate(uses) if use[0]]
    whose = [NO_WHO] * len(uses)
    if not named:
        return whose
    rows = await session.connection.fetch(
        SQL["select_who"],
        session.organization_id,
        [attribution_id for _, (attribution_id, _) in named],
        [day for _, (_, day) in named],
    )
    for row in rows:
        actor = actor_ref(row["actor_kind"], row["actor_id"], row["actor_name"], removed=row["removed"])
        group = GroupRef(id=row["group_id"], name=row["group_name"]) if row["group_id"] else None
        whose[named[row["place"] - 1][0]] = Who(actor, group, json.loads(row["labels"]))
    return whose
