"""Parameters that select usage by who used it."""

from pydantic import BaseModel, Field

from query_api.attributions.domain.spans import Membership


class WhoQuery(BaseModel):
    """Filters by actor, group and label. Usage must match all of them."""

    actor: str | None = Field(
        None, min_length=1, max_length=254, examples=["u-4711"],
        description="Only usage of this person or service account: the id of a row of people. Refused if the organization shows "
        "groups only.",
    )  # fmt: skip
    group: str | None = Field(
        None, min_length=1, max_length=128, examples=["sales"],
        description="Only usage of this group and the groups below it, by its id. Refused for fewer than five people, "
        "if the organization shows groups only.",
    )  # fmt: skip
    label: str | None = Field(
        None, min_length=1, max_length=100, examples=["project:apollo"],
        description="Only usage with this label, as KEY:VALUE. The organization must have declared the key. Refused as `group`.",
    )  # fmt: skip
    membership: Membership = Field(
        "then",
        description="then: usage belongs to the group of its actor on its day. now: to the group of its actor today; refused if "
        "the organization shows groups only.",
    )

    @property
    def names_who(self) -> bool:
        return self.actor is not None or self.group is not None or self.label is not None
