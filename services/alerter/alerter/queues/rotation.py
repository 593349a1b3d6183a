"""Gives each organization its turn in a queue that is stored in Postgres."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar


class Owned(Protocol):
    """An item of one organization."""

    @property
    def organization_id(self) -> int: ...


Item = TypeVar("Item", bound=Owned)


class Rotation:
    """Organizations take turns in the order of their numbers. Each claim starts after the last organization that was
    served; if no organization is left there, it starts at the beginning."""

    def __init__(self) -> None:
        self.after = 0
        """Number of the last organization that was served."""

    async def take(self, claim: Callable[[int], Awaitable[Sequence[Item]]]) -> Sequence[Item]:
        """`claim(after)` claims items of organizations with numbers above `after`, the lowest number first."""
        items = await claim(self.after)
        if not items and self.after:
            items = await claim(0)
        self.after = max((item.organization_id for item in items), default=0)
        return items
