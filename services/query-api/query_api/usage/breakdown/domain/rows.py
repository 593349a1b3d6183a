"""Order, shares and changes of a table's rows. Pure."""

from flexcredits_schemas.credits import MICRO, round_half_even

from query_api.usage.breakdown.domain.tree import Row


def in_order(row: Row) -> tuple[int, str, str, str]:
    """Sort order of sibling rows; unique."""
    return -row.credits, row.name, row.id, row.kind


def change(now: int, before: int) -> int | None:
    """Relative change in millionths of `before`; None if `before` is zero."""
    return share(now - before, abs(before)) if before else None


def share(part: int, whole: int) -> int:
    """Share of the whole in millionths, rounded half-even; 0 if the whole is zero."""
    if whole == 0:
        return 0
    if whole < 0:
        part, whole = -part, -whole
    return round_half_even(part * MICRO, whole)
