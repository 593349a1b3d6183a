"""Whose turn it is in a queue that is kept in Postgres."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar


class Owned(Protocol):
    """Something of one organization's."""

    @property
    def organization_id(self) -> int: ...


Item = TypeVar("Item", bound=Owned)


class Rotation:
    """Organizations take turns in the order of their numbers: each claim begins behind the last one that was served, and at
    the beginning again when there is nobody behind it."""

    def __init__(self) -> None:
        self.after = 0
        """The last one that was served."""

    async def take(self, claim: Callable[[int], Awaitable[Sequence[Item]]]) -> Sequence[Item]:
        """`claim(after)` takes items of organizations with higher numbers than `after`, the lowest first."""
        items = await claim(self.after)
        if not items and self.after:
            items = await claim(0)
        self.after = max((item.organization_id for item in items), default=0)
        return items
