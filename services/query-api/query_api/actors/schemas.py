"""Actor and group of a use or run, as the organization shows people."""

from typing import Literal

from pydantic import Field

from query_api.http.fields import ResponseBody

REMOVED_PEOPLE = "Removed people"
SMALL_GROUPS = "Small groups"
PEOPLE_OF_A_SHOWN_GROUP = 5
"""While only groups are shown, groups with fewer people are merged."""


class ActorRef(ResponseBody):
    """A person or service account."""

    kind: Literal["user", "service_account", "removed"] = Field(
        description="removed: a person that the directory has removed; neither id nor name is shown."
    )
    id: str | None = Field(description="While people are pseudonymous, the alias. null for removed people.")
    name: str = Field(description="Display name, else the id.", examples=["Ada Lovelace"])


class GroupRef(ResponseBody):
    """A group of people."""

    id: str | None = Field(
        description="null: groups with fewer than five people in the month, merged because the organization shows only groups."
    )
    name: str = Field(examples=["Platform team"])


def actor_ref(kind: str | None, actor_id: str | None, name: str | None, *, removed: bool | None) -> ActorRef | None:
    """From the columns of `select_who`; None without an actor, or if none is shown."""
    if removed:
        return ActorRef(kind="removed", id=None, name=REMOVED_PEOPLE)
    if not actor_id or kind not in ("user", "service_account"):
        return None
    return ActorRef(kind="user" if kind == "user" else "service_account", id=actor_id, name=name or actor_id)
