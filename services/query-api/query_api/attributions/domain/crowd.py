"""Distinct people of a row. Pure."""

from collections.abc import Iterable

NO_ONE: frozenset[str] = frozenset()


class Crowd:
    """A set of people. Joining shares the sets of others; they are united only when people are counted, which most are not.

    Only its owner may join others to it. Counting does not change what it contains, so threads may do it.
    """

    __slots__ = ("_parts",)

    def __init__(self, people: Iterable[str] = ()) -> None:
        found = frozenset(people)
        self._parts = [found] if found else []

    def join(self, other: "Crowd") -> None:
        self._parts.extend(other._parts)

    def unite(self) -> frozenset[str]:
        """The people."""
        parts = self._parts
        if len(parts) > 1:
            parts = self._parts = [NO_ONE.union(*parts)]
        return parts[0] if parts else NO_ONE

    def has(self, number: int) -> bool:
        """Whether it has at least so many people."""
        return any(len(part) >= number for part in self._parts) or len(self) >= number

    @property
    def size(self) -> int:
        """The sum of its sets: what uniting them handles, and at least the number of people."""
        return sum(map(len, self._parts))

    def __len__(self) -> int:
        return len(self.unite())

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Crowd) and self.unite() == other.unite()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Crowd({sorted(self.unite())})"
