"""Actor and group of a use or run, as the organization shows people."""

from typing import Literal

from pydantic import Field

from query_api.http.fields import ResponseBody

REMOVED_PEOPLE, OTHER = "Removed people", "Other"


class ActorRef(ResponseBody):
    """A person or service account."""

    kind: Literal["user", "service_account", "removed", "other"] = Field(
        description="removed: a person that the directory has removed; neither id nor name is shown. other: beyond the limit of "
        "combinations that an organization may use for the first time in a month; not kept."
    )
    id: str | None = Field(description="While people are pseudonymous, the alias. null for removed and other.")
    name: str = Field(description="Display name, else the id.", examples=["Ada Lovelace"])


class GroupRef(ResponseBody):
    """A group of people."""

    id: str
    name: str = Field(examples=["Platform team"])


def actor_ref(kind: str | None, actor_id: str | None, name: str | None, *, removed: bool | None) -> ActorRef | None:
    """From the columns of `select_who`; None without an actor."""
    if removed:
        return ActorRef(kind="removed", id=None, name=REMOVED_PEOPLE)
    if kind == "other":
        return ActorRef(kind="other", id=None, name=OTHER)
    if not actor_id or kind not in ("user", "service_account"):
        return None
    return ActorRef(kind="user" if kind == "user" else "service_account", id=actor_id, name=name or actor_id)
